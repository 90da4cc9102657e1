"""UTF-8 that was read in another encoding ("cafÃ©" for "café"): found by evidence of the whole text, and undone.

What a run of signs would be as UTF-8 proves nothing by itself: «CAFÉ», „Spaß“, NESCAFÉ® or a times sign before a
no-break space are valid UTF-8 by chance. A text is repaired only where at least one run cannot have been meant as it
stands, and where the runs hold more characters than the text has other letters beyond ASCII, which a misreading would
not have spared. All layers of a text that was misread several times go. (Measured beside ftfy, whose seven encodings
are among ours: `benchmarks/filters/mojibake.py`.)
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from autoclave.cleaning.transforms.mojibake_scan import WIDE_SIGNS, bytes_of, encodings_of

LAYERS = 6

_CONTINUATION = "[\x80-\xbf]"
_SEQUENCES = re.compile(
    "(?:[\xc2-\xdf]C|\xe0[\xa0-\xbf]C|[\xe1-\xec\xee\xef]CC|\xed[\x80-\x9f]C"
    "|\xf0[\x90-\xbf]CC|[\xf1-\xf3]CCC|\xf4[\x80-\x8f]CC)+".replace("C", _CONTINUATION)
)
_CLUSTER = re.compile("[^\x00-\x7f]+")
_LETTER = re.compile(r"[^\x00-\x7f\W\d_]")
_C1 = re.compile("[\x80-\x9f]")


def repair(pieces: Sequence[str]) -> list[str]:
    """Undo the misreadings of a text where the whole of it proves them; return its stretches.

    pieces: stretches at even places, and what stands between them, which counts as evidence and is not repaired.
    C1 controls that remain become what Windows has in their place, as browsers read them.
    """
    pieces = list(pieces)
    for layer in range(LAYERS):
        stretches = _one_layer(pieces, layer)
        if stretches is None or stretches == pieces[::2]:
            break
        pieces[::2] = stretches
    if any(_C1.search(stretch) for stretch in pieces[::2]):
        table = _windows("".join(pieces[::2]))
        pieces[::2] = [stretch.translate(table) for stretch in pieces[::2]]
    return pieces[::2]


# -- one layer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """A run of signs that is valid UTF-8 as bytes of an encoding; odd: characters of what it would become that seldom
    stand without others of their script."""

    piece: int
    start: int
    end: int
    meant: str
    odd: str


@dataclass(frozen=True)
class _Reading:
    """All runs of a text for one encoding.

    sure: one of them cannot have been meant as it stands; whole: nothing beyond ASCII lies outside of them; windows:
    the encoding has letters where UTF-8 begins characters, and not quotation marks and blanks as those of other
    systems; score: characters that are gained by reading the text anew less letters that lie outside of the runs.
    """

    runs: list[_Run]
    sure: bool
    whole: bool
    windows: bool
    score: int

    @property
    def rank(self) -> tuple[int, int]:
        """What the better of two readings has more of."""
        return self.score, -sum(len(run.odd) for run in self.runs)

    def proves(self) -> bool:
        """Whether the text was misread: something is sure, or nothing is spared and several different runs agree."""
        if self.sure or not (self.whole and self.windows):
            return self.sure
        meant = "".join([run.meant for run in self.runs])
        return len(meant) >= 4 and len(set(meant)) >= 3 and not any(run.odd for run in self.runs)


def _one_layer(pieces: list[str], layer: int) -> list[str] | None:
    """Return the stretches read in the encoding that the evidence is best for, or None where there is none."""
    wide = _wide_layer(pieces[::2])
    if wide is not None:
        return wide
    clusters = [(piece, *match.span()) for piece, text in enumerate(pieces) for match in _CLUSTER.finditer(text)]
    signs = "\n".join([pieces[piece][start:end] for piece, start, end in clusters])
    best: _Reading | None = None
    for encoding in encodings_of(signs):
        reading = _read(pieces, clusters, signs, encoding)
        # A text with layers left is known to be damaged: what is right in it was repaired a moment ago.
        enough = reading.whole or reading.score > 0 or layer > 0
        if reading.runs and enough and (best is None or reading.rank > best.rank) and reading.proves():
            best = reading
    return None if best is None else _replaced(pieces, best)


def _read(pieces: list[str], clusters: list[tuple[int, int, int]], signs: str, encoding: str) -> _Reading:
    """Find the runs of a text; clusters: (piece, start, end) of all that is beyond ASCII; signs: them, a line each."""
    runs: list[_Run] = []
    sure = False
    places = iter(clusters)
    piece = start = end = 0
    line = -1  # where the cluster at hand ends in `signs`
    for match in _SEQUENCES.finditer(signs.translate(bytes_of(encoding))):
        while match.start() > line:
            piece, start, end = next(places)
            line += 1 + end - start
        at, stop = (end - (line - place) for place in match.span())
        text, meant = pieces[piece], match.group().encode("latin-1").decode()
        before, after = text[max(0, at - 2) : at], text[stop : stop + 1]
        runs.append(_Run(piece, at, stop, meant, _odd(meant, before[-1:], after)))
        sure = sure or (piece % 2 == 0 and _is_sure_run(text[at:stop], meant, before, after))
    inside = "".join([pieces[run.piece][run.start : run.end] for run in runs])
    whole = len(inside) == len(signs) - max(0, len(clusters) - 1)
    gained = sum(len(run.meant) - (0 if whole else len(run.odd)) for run in runs)
    windows = encoding.startswith(("cp125", "latin", "iso", "mixed"))
    return _Reading(runs, sure, whole, windows, gained - (len(_LETTER.findall(signs)) - len(_LETTER.findall(inside))))


def _replaced(pieces: list[str], reading: _Reading) -> list[str]:
    """Return the stretches with their runs read anew; where not all is misread, without those that may be chance."""
    scripts = _established(reading.runs)
    done: list[list[str]] = [[] for _ in pieces]
    at = [0] * len(pieces)
    for run in reading.runs:
        text = pieces[run.piece]
        before, after = text[max(0, run.start - 2) : run.start], text[run.end : run.end + 1]
        if (
            reading.whole
            or not run.odd
            or all(_script(sign) in scripts for sign in run.odd)
            or _is_sure_run(text[run.start : run.end], run.meant, before, after)
        ):
            done[run.piece] += [text[at[run.piece] : run.start], run.meant]
            at[run.piece] = run.end
    return ["".join([*new, piece[end:]]) for new, piece, end in zip(done, pieces, at, strict=True)][::2]


def _established(runs: list[_Run]) -> set[str]:
    """The scripts but Latin of which the runs without odd characters hold three different letters or more."""
    found: dict[str, set[str]] = {}
    for run in runs:
        if not run.odd:
            for sign in run.meant:
                found.setdefault(_script(sign), set()).add(sign)
    return {script for script, signs in found.items() if script not in ("", "LATIN") and len(signs) >= 3}


def _odd(meant: str, before: str, after: str) -> str:
    """Return the characters of a run, between two others, that seldom stand without others of their script and do, rare
    Latin letters, and letters that stand by themselves and are no word."""
    found = ""
    context = [before, *meant, after]
    for at, sign in enumerate(meant, 1):
        if _is_odd(sign):
            if _is_latin(sign) or _script(sign) not in (_script(context[at - 1]), _script(context[at + 1])):
                found += sign
        elif "\u0100" <= sign <= "\u017f" and not context[at - 1].isalpha() and not context[at + 1].isalpha():
            found += sign
    return found


def _is_sure_run(signs: str, meant: str, before: str, after: str) -> bool:
    """Whether a run, between two other characters and one, cannot have been meant as it stands."""
    if _has_word(meant):
        return True
    context, at = before + signs + after, len(before)
    for index, sign in enumerate(meant):
        stop = at + len(sign.encode())
        beside_right = (index == 0 and not before[-1:].isascii()) or (index + 1 == len(meant) and not after.isascii())
        if _is_sure(context[at:stop], sign, context[max(0, at - 2) : at], context[stop : stop + 1], beside_right):
            return True
        at = stop
    return False


@functools.lru_cache(maxsize=1 << 16)
def _script(sign: str) -> str:
    """The script of a letter or mark, in a word ("CYRILLIC"; "HAN" for all that Chinese, Japanese and Korean use), and
    of a sign that only one script has; "" for all else."""
    if not sign or (unicodedata.category(sign)[0] not in "LM" and not "\u0370" <= sign <= "\u1fff"):
        return ""
    if "\u02b0" <= sign <= "\u036f":
        return "LATIN"
    name = unicodedata.name(sign, "").partition(" ")[0]
    return "HAN" if name.startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL")) else name


def _has_word(meant: str) -> bool:
    """Whether letters of a script other than Latin stand together: three, or two of three bytes each."""
    length, last = 0, ""
    for sign in meant:
        script = _script(sign)
        length = length + 1 if script == last else 1
        last = script
        if script not in ("", "LATIN") and length >= (3 if sign < "\u0800" else 2):
            return True
    return False


@functools.lru_cache(maxsize=1 << 16)
def _is_odd(sign: str) -> bool:
    """Whether a character seldom stands without others of its script: what two right signs may happen to be."""
    if sign < "\u0250":
        return sign >= "\u0180" and sign not in "ƒơƠưƯǍǎǏǐǑǒǓǔǗǘǚǜȘșȚț"
    if not _script(sign):
        return sign < "\u2000" or (unicodedata.category(sign)[0] == "C" and sign not in "\u200b\u200c\u200d\ufeff")
    return not "\u1e00" <= sign <= "\u1eff" and sign not in "\ufb01\ufb02"


# Signs that do not follow a capital letter: they open something, or stand in texts of other kinds.
_BLANK = ("", " ", "\n")
_NEVER_AFTER = frozenset("€‚ƒ„†‡ˆ‰‹˜¡¢£¤¥¦§¨©«¬\xad¯±´µ¶·¸¼½¾¿")
# Those, letters, and what may follow a capital letter, but not between it and another letter.
_CLOSING = frozenset("»›”“’‘…–—\xa0")
_LETTERS = frozenset("œšžŸŠŒŽ")
_NEVER_BETWEEN = _NEVER_AFTER | frozenset("•™›®²³¹ºª")


def _is_sure(signs: str, sign: str, left: str, right: str, beside_right: bool) -> bool:
    """Whether these signs, that would be `sign` in UTF-8, cannot have been meant as they stand.

    left: the two characters before; right: the one behind; beside_right: one of them is beyond ASCII and right as it
    is, though a misreading would not have spared it.
    """
    near = left[-1:]
    if _C1.match(signs[1]) or sign in "\ufffd\ufeff" or signs.startswith("ðŸ"):
        return True
    if "\u200b" <= sign <= "\u203a" or sign in "€™":
        alone = near in _BLANK and right in _BLANK
        return near.isalnum() or right.isalnum() or near in ",.!?;:" or (sign in "–—•…" and alone)
    if beside_right:
        return False
    if _is_latin(near) and near.islower() and signs[0].isupper() and not _is_latin(signs[0]):
        return True
    if "\xa0" <= sign <= "\xbf":
        return signs[0] in "ÂĀ" and not signs[1].isalpha() and _is_sure_addition(sign, near)
    if len(signs) == 3 and ((signs[0] == "‚" and near.isalpha()) or (signs[0] == "â" and signs[1] in "‚„†ˆ˜")):
        return True
    if sign in "×÷":
        return signs[0] == "Ã" and not near.isalpha() and not right.isalpha()
    if not _is_latin(sign):
        return False
    if len(signs) == 3:
        return signs[1] == "¸" or (right.isalpha() and signs[1] in "¹º»" and signs[2] in _NEVER_BETWEEN)
    return _breaks_a_word(signs[0], signs[1], sign, left, right)


def _is_latin(sign: str) -> bool:
    return _script(sign) == "LATIN"


def _is_sure_addition(sign: str, left: str) -> bool:
    """Whether an "Â" between `left` and `sign` was only added: no word in capitals ends there, it is none itself."""
    return not left.isupper() and (sign not in _CLOSING or left.isalnum() or left in [*",.!?;:"])


def _breaks_a_word(first: str, second: str, sign: str, left: str, right: str) -> bool:
    """Whether two signs, in UTF-8 a Latin letter or mark, stand where no word has them."""
    foreign = not _is_latin(first) and unicodedata.category(first) in ("Lu", "Ll", "Lo", "Sm", "So")
    if not (foreign or (_is_latin(first) and first.isupper())):
        return False
    near = left[-1:]
    if near.islower() and _is_latin(near):
        return True
    between = second in _NEVER_BETWEEN or (first == "Ã" and second in _LETTERS)
    if near.isalpha() and left.isupper() and len(left) == 2 and left[0].isalpha():
        return between and right.isalpha() and sign.isupper()
    if _is_latin(right) and not (sign.islower() and right.isupper()):
        return (
            between
            or (second == "°" and right.islower())
            or (foreign and not second.isalpha() and second not in _CLOSING)
        )
    if first != "Ã":
        return False
    if near.isalpha():
        return second in _LETTERS or (second in _NEVER_AFTER and second != "©")
    return second in _NEVER_AFTER or second in _LETTERS or (near in _BLANK and right in _BLANK and second in "\xa0³²¹")


# -- two bytes a character, and what remains --------------------------------------------------------------------------

_BETWEEN_LETTERS = re.compile("(?<=[a-z])[\u4e00-\u9fff](?=[a-z])")


def _wide_layer(stretches: list[str]) -> list[str] | None:
    """Return a text that was read as GB 18030, where all of it says so."""
    if not any(_BETWEEN_LETTERS.search(stretch) or any(map(stretch.count, WIDE_SIGNS)) for stretch in stretches):
        return None
    try:
        found = [stretch.encode("gb18030").decode() for stretch in stretches]
    except UnicodeError:
        return None
    return found if sum(len(_LETTER.findall(stretch)) for stretch in found) >= 4 else None


_COMMON = "".join(chr(point) for point in (0x82, 0x84, 0x86, 0x87, 0x89, 0x8B, *range(0x91, 0x98), 0x99, 0x9B))


def _windows(text: str) -> dict[int, str]:
    """For str.translate: C1 controls to what they are in the Windows encoding that the text's letters are of; only
    those that mean the same in all of these encodings where the letters are of none."""
    letters = "".join(set(_LETTER.findall(text)))
    for encoding in ("cp1252", "cp1250", "cp1254", "cp1257"):
        try:
            letters.encode(encoding)
        except UnicodeEncodeError:
            continue
        controls = [chr(point) for point in range(0x80, 0xA0)]
        break
    else:
        encoding, controls = "cp1252", [*_COMMON]
    table = {ord(sign): sign.encode("latin-1").decode(encoding, "ignore") or sign for sign in controls}
    if set(_C1.findall(text)) == {"\x85"}:
        table.pop(0x85)  # by itself it may be the next-line control
    return table
