"""From bytes to characters: the encoding of a page, decided by the evidence of header, marks, page and bytes."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from autoclave.corpus.encoding.evidence import SAMPLE_BYTES, bits, sample, spans
from autoclave.corpus.encoding.labels import SEVEN_BIT, WIDE, clean_utf8, codec, read, with_punctuation
from autoclave.corpus.encoding.letters import CONTROL

DECLARATION_WINDOW = 1 << 16

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_META_CHARSET = re.compile(rb"""<meta\b[^<>]{1,500}?charset\s{0,9}=\s{0,9}["']?\s{0,9}([\w:.-]+)""", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"""<\?xml[^<>]{1,200}?encoding\s{0,9}=\s{0,9}["']([\w:.-]+)""", re.IGNORECASE)

_C1 = re.compile(rb"[\x80-\x9f]")

# What bytes that are no UTF-8 may be in, and bits against those that hardly any page is in: of two readings that are
# as good, the more usual one is taken.
_CANDIDATES = {
    "utf-8": 0, "cp1252": 0, "cp1251": 0, "gb18030": 0, "cp932": 0, "cp949": 0, "big5hkscs": 0, "euc_jp": 0,
    "cp1250": 1, "cp1253": 1, "cp1254": 1, "cp1255": 1, "cp1256": 1, "cp1257": 1, "cp874": 1, "koi8_r": 1,
    "iso8859_2": 3, "cp1258": 3, "koi8_u": 3, "iso8859_5": 5, "iso8859_7": 5, "iso8859_15": 5, "cp866": 5,
    "iso8859_6": 7, "iso8859_8": 7, "iso8859_13": 7, "iso8859_4": 7, "iso8859_16": 7, "iso8859_3": 8,
    "iso8859_10": 8, "iso8859_14": 8, "mac_roman": 6, "mac_cyrillic": 6, "mac_latin2": 8, "mac_greek": 12,
    "mac_turkish": 10, "mac_iceland": 12, "mac_croatian": 12, "mac_romanian": 12, "cp852": 9, "cp850": 9, "cp1125": 9,
    "kz1048": 9,
}  # fmt: skip
# Bits for a declaration. Servers declare Windows-1252 (ISO-8859-1, ASCII) and UTF-8 for whatever they send.
_DECLARED = 12.0
_DEFAULT = {"cp1252": 2.0, "utf-8": 6.0}
_MARKED = 40.0
# What a character beyond ASCII takes at most, on the average, in words of any language; chance costs 14 and more.
_BITS_OF_WORDS = 11.5
# A declared encoding stays unless another takes less than this share of its bits, and this many bits less, where the
# two differ: what is written in a language or about a matter that was not counted is dear in every reading, and a few
# words prove little. The same for Windows-1252, by far the most usual of all, where it is named as a default, and where
# it is not named.
_BETTER_THAN_DECLARED = (0.85, 20.0)
_BETTER_THAN_A_DEFAULT = (0.9, 4.0)
_BETTER_THAN_THE_USUAL = (0.95, 0.0)
# A first look at this many bytes of a sample leaves this many encodings.
_FIRST_BYTES, _LIKELY = 600, 6
# Bits a byte beyond ASCII of words in alphabets and ideographs: 4 to 5 where they are read rightly, from 7 where not.
_SURE_BITS = 5.5
# Malformed places that a text may have in proportion to its characters beyond ASCII to be UTF-8 without a contest: in
# text of two bytes a character one in three sequences is valid UTF-8 by chance, in others hardly any.
_MOSTLY = 3


@dataclass(frozen=True)
class Decoded:
    """Text of a byte string, the encoding it was read in, and how many malformed places were replaced by U+FFFD.

    `text` may hold more of them, where the page itself has U+FFFD.
    """

    text: str
    charset: str
    replaced: int


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """Decode the bytes of a page or text; never raises.

    declared: the label of the transport (the HTTP header), None where there is none.
    Valid UTF-8 is UTF-8, whatever is declared, and so is what is mostly valid. For all else a sample of the text is
    read in every encoding that pages are written in; the one that makes the likeliest text of it is taken, with
    something added for those that the header, a byte order mark, the page's meta element or its XML declaration names.
    A character that is cut off at the end of the data is left out; NULs go.
    """
    mark, body = _marked(data)
    if b"\x00" in body or mark in WIDE or codec(declared) in WIDE:
        wide = _wide(body, mark, declared)
        if wide is not None:
            return _decoded(body, wide)
    if b"\x1b" in body or (b"~" in body and body.isascii() and b"~{" in body):
        seven_bit = _seven_bit(body, declared)
        if seven_bit is not None:
            return _decoded(body, seven_bit)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _decoded(body, "utf-8" if _is_mostly_utf8(body) else _by_evidence(body, mark, declared))
    return Decoded(clean_utf8(text, body), "utf-8", 0)


def _decoded(data: bytes, name: str) -> Decoded:
    if name == "utf-8":
        data = with_punctuation(data)
    text = read(data, name)
    own = data.count(b"\xef\xbf\xbd") if name == "utf-8" and "\ufffd" in text else 0
    return Decoded(text, name, text.count("\ufffd") - own)


def _marked(data: bytes) -> tuple[str | None, bytes]:
    """The encoding that a byte order mark names, and what follows the mark."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name, data[len(mark) :]
    return None, data


_PLACES = re.compile("\ufffd+")
_FEW = 3


def replaced_share(text: str) -> float:
    """Places of a text where characters were lost to U+FFFD, in proportion to its characters; a run of them is one
    place (a lost emoji is four), and fewer than three places are none."""
    if "\ufffd" not in text:
        return 0.0
    places = len(_PLACES.findall(text))
    return places / len(text) if places >= _FEW else 0.0


# -- declarations -----------------------------------------------------------------------------------------------------


def own_declarations(data: bytes) -> list[str]:
    """The labels by which a page names its encoding, in the order in which it does, comments apart."""
    head = data[:DECLARATION_WINDOW]
    comments = [*spans(head, b"<!--", b"-->")]
    begins, ends = [0, *(end for _, end in comments)], [*(start for start, _ in comments), len(head)]
    head = b"".join([head[begin:end] for begin, end in zip(begins, ends, strict=True)])
    labels = [*_XML_CHARSET.findall(head[:1000]), *_META_CHARSET.findall(head)]
    return [label.decode("latin-1") for label in labels]


def _bonuses(data: bytes, mark: str | None, declared: str | None) -> dict[str, float]:
    """Bits for each encoding that is named, by a mark, the transport, or the page."""
    named: dict[str, float] = {}
    for labels in ([declared or ""], own_declarations(data)):
        bonuses: dict[str, float] = {}
        for label in labels:
            name = codec(label)
            if name is not None and name not in SEVEN_BIT | WIDE:
                # Nobody writes "windows-1252" for want of anything better.
                bonus = _DECLARED if "1252" in label else _DEFAULT.get(name, _DECLARED)
                bonuses[name] = max(bonus, bonuses.get(name, 0.0))
        named = {name: named.get(name, 0.0) + bonuses.get(name, 0.0) for name in (*named, *bonuses)}
    if mark is not None and mark not in WIDE:
        named[mark] = named.get(mark, 0.0) + _MARKED
    return named


# -- evidence ---------------------------------------------------------------------------------------------------------


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether some bytes, none of them ASCII, are malformed and most are UTF-8, or only a character is cut off."""
    text = read(data, "utf-8")
    ascii_bytes = int(np.count_nonzero(np.frombuffer(data, np.uint8) < 128))
    malformed = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    sound = len(text) - (ascii_bytes - data.count(b"\x00")) - malformed
    return sound >= max(_MOSTLY * malformed, 1 if malformed == 0 else 3)


def _by_evidence(data: bytes, mark: str | None, declared: str | None) -> str:
    """The encoding of bytes that are no UTF-8: the cheapest reading, unless a declared one is nearly as good."""
    named = _bonuses(data, mark, declared)
    part = sample(data)
    if len(part) < SAMPLE_BYTES:
        part += b"\n"  # so that a character that is cut off at the end counts as malformed
    trusted = [name for name, bonus in named.items() if bonus >= _DECLARED and _is_sound(part, name)]
    if len(named) == len(trusted) == 1 and _is_sure(part, trusted[0]):
        return trusted[0]
    scores = _scores(part[:_FIRST_BYTES], [*named, *_CANDIDATES], named)
    if len(part) > _FIRST_BYTES:
        likely = sorted(scores, key=scores.__getitem__)[:_LIKELY]
        scores = _scores(part, [*likely, *named, "cp1252"], named)
    best = min(scores, key=scores.__getitem__)
    for name in sorted(trusted, key=scores.__getitem__):
        if not _is_better(read(part, best), read(part, name), *_BETTER_THAN_DECLARED):
            return name
    bounds = _BETTER_THAN_A_DEFAULT if "cp1252" in named else _BETTER_THAN_THE_USUAL
    return best if _is_better(read(part, best), read(part, "cp1252"), *bounds) else "cp1252"


def _is_sound(part: bytes, name: str) -> bool:
    """Whether hardly anything of a sample is malformed, and nothing a control character."""
    text = read(part, name)
    return text.count("\ufffd") * 50 <= len(text) and not (name.startswith("iso8859") and _C1.search(part))


def _is_sure(part: bytes, name: str) -> bool:
    """Whether a sample, read in a declared encoding, is words so likely that it needs no contest.

    KOI8-R does: four Ukrainian letters of KOI8-U are lines of boxes in it, and few of a text's.
    """
    beyond = int(np.count_nonzero(np.frombuffer(part, np.uint8) >= 128))
    text = read(part, name)
    return name != "koi8_r" and beyond >= 30 and "\ufffd" not in text and bits(text) < _SURE_BITS * beyond


def _scores(part: bytes, names: Iterable[str], named: dict[str, float]) -> dict[str, float]:
    """What speaks against each encoding, in bits."""
    costs = _costs(part, names)
    return {name: cost + _CANDIDATES.get(name, 8) - named.get(name, 0.0) for name, cost in costs.items()}


def _is_better(text: str, other: str, share: float, margin: float) -> bool:
    """Whether one reading of a sample takes a share of the bits of another, and so many less, where the two differ."""
    cost, others_cost = map(bits, _differing(text, other))
    return cost < share * others_cost and cost + margin < others_cost


def _differing(text: str, other: str) -> tuple[str, str]:
    """Of two readings the characters that differ, with their neighbours; the lines, where characters are no pairs."""
    if len(text) == len(other):
        texts = [np.frombuffer(reading.encode("utf-32-le", "replace"), np.uint32) for reading in (text, other)]
        differ = np.zeros(len(text) + 2, np.bool_)
        differ[1:-1] = texts[0] != texts[1]
        near = differ[:-2] | differ[1:-1] | differ[2:]
        kept = [np.where(near, points, ord("\n")).astype("<u4").tobytes().decode("utf-32-le") for points in texts]
        return kept[0], kept[1]
    lines, others = text.split("\n"), other.split("\n")
    if len(lines) != len(others):
        return text, other
    pairs = [pair for pair in zip(lines, others, strict=True) if pair[0] != pair[1]]
    return "\n".join([line for line, _ in pairs]), "\n".join([line for _, line in pairs])


def _costs(part: bytes, names: Iterable[str]) -> dict[str, float]:
    """Bits of a sample in each encoding; of those that are out of the question, not all."""
    costs: dict[str, float] = {}
    known: dict[str, float] = {}
    for name in dict.fromkeys(names):
        text = read(part, name)
        if text not in known:
            known[text] = bits(text, 1.3 * min(known.values(), default=math.inf) + 50)
        costs[name] = known[text]
    return costs


# -- two and four bytes a character, and seven bits -------------------------------------------------------------------

_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_WORDS = 8  # characters without which nothing is proved
_PART = 1496  # bytes, a multiple of four; two of them are no more than a sample holds


def _wide(data: bytes, mark: str | None, declared: str | None) -> str | None:
    """The UTF-16 or UTF-32 that the data is in; None where it is in neither."""
    middle = len(data) // 8 * 4
    part = data[:_PART] + (data[middle : middle + _PART] if middle >= _PART else b"")
    named = {name for name in (mark, codec(declared)) if name in WIDE}
    controls = len(_CONTROLS.findall(part))
    if not named and not controls:
        return None
    texts = {name: part.decode(name, "replace") for name in sorted(WIDE)}
    # What is malformed costs all its bits.
    costs = {name: bits(text) + int(name[4:6]) * text.count("\ufffd") for name, text in texts.items()}
    costs = {name: cost - (_MARKED if name == mark else 0.0) for name, cost in costs.items()}
    best = min(costs, key=costs.__getitem__)
    likely = costs[best] <= _BITS_OF_WORDS * len(texts[best])
    if named:
        return best if likely or (mark is not None and not _is_utf8(part)) else None
    narrow = CONTROL * controls + min(_costs(sample(part), _CANDIDATES).values())
    return best if likely and len(texts[best]) >= _WORDS and costs[best] < narrow else None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


_ESCAPES = (
    ("iso2022_jp_ext", re.compile(rb"\x1b\$(?:[@B]|\([DOPQ])")),
    ("iso2022_kr", re.compile(rb"\x1b\$\)C")),
    ("hz", re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e]){1,200}~\}")),
)


def _seven_bit(data: bytes, declared: str | None) -> str | None:
    """The encoding of ASCII bytes that switch to other characters by escapes; None where the text is what it seems."""
    eight_bit = int(np.count_nonzero(np.frombuffer(data, np.uint8) >= 128))
    named = {codec(label) for label in (declared, *own_declarations(data))}
    for name, escape in _ESCAPES:
        if escape.search(data) is None:
            continue
        reading = read(data, name)
        beyond = [sign for sign in reading if sign > "\x7f" and sign != "\ufffd"]
        if eight_bit * 2 > len(beyond) or (reading.count("\ufffd") - eight_bit) * 20 > len(beyond):
            continue
        # Pairs of characters between "~{" and "~}" stand in other texts, too, so there they have to be likely words.
        likely = len(beyond) >= 4 and bits("".join(beyond[:1000])) < _BITS_OF_WORDS * min(len(beyond), 1000)
        if name in named or name != "hz" or likely:
            return name
    return None
