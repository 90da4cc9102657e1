"""Hashes, normalisation and signatures against xxhash, hashlib, unicodedata and datasketch."""

import hashlib
import itertools
import unicodedata
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.kernels.text.keys.lines import line_keys
from autoclave.kernels.text.keys.minhash import permutations, shingle_sets, sign_hash_sets, sign_texts
from autoclave.kernels.text.keys.normalisation import Normalisation
from autoclave.kernels.text.keys.sha1 import sha1_32
from autoclave.kernels.text.keys.white_space import collapse_white_space
from autoclave.kernels.text.keys.xxh3 import hash_slices, xxh3_64
from autoclave.kernels.text.texts import text_buffers

DROPPED_MARKS = [
    *range(0x300, 0x370), *range(0x483, 0x48A), *range(0x591, 0x5C8), *range(0x610, 0x61B), *range(0x64B, 0x660),
    0x670, *range(0x6D6, 0x6EE), *range(0x1AB0, 0x1B00), *range(0x1DC0, 0x1E00), *range(0x20D0, 0x2100),
    0x3099, 0x309A, *range(0xFE00, 0xFE30),
]  # fmt: skip
UNSPACED = [
    *range(0xE00, 0xF00), *range(0x1000, 0x10A0), *range(0x1780, 0x1800), *range(0x2E80, 0x3200),
    *range(0x3400, 0xA000), *range(0xF900, 0xFB00), *range(0xFF66, 0xFFA0),
]  # fmt: skip
DROPPED_MARKS, UNSPACED = frozenset(DROPPED_MARKS), frozenset(UNSPACED)

TEXTS = [
    "Hello, World! It's 1,234.56 café déjà-vu; naïve Über ÅNGSTRÖM straße",
    "今天天气很好，我们去公园玩吧。2024年5月1日！ABC公司 hello世界",
    "日本語のテキスト。ガギグゲゴ が か\u3099 ﾊﾝｶｸ　全角スペース　ＡＢＣ１２３",
    "สวัสดีครับ ผมชื่อ ကခဂ ភាសាខ្មែរ",
    "हिन्दी में लिखा हुआ पाठ क्षत्रिय",
    "한국어 문장입니다. 띄어쓰기가 있습니다",
    "Привет, мир! Ёлка й и\u0306 שָׁלוֹם עולם مَرْحَبًا بالعالم",
    "\ufeffzero\u200bwidth soft\u00adhyphen e\u0301 \u0301 lone 👍🏽 emoji 𠀀𠀁 𝒜 x²",
    "",
    "  ... !!! \n\n ",
    "one",
    "a b c d",
    "x" * 5000,
    "İstanbul DŽ ǅ ﬁn Ǆ ẞ Ω Ω",
]


SIGNS = {
    **dict.fromkeys("-\u2010\u2011\u2013\u2212\uff0d", "-"), **dict.fromkeys(".\u066b\uff0e", "."),
    **dict.fromkeys(",\u00a0\u066c\u202f\uff0c", ","), **dict.fromkeys("'\u2019\uff07", "'"),
    **dict.fromkeys(":\uff1a", ":"), **dict.fromkeys("/\uff0f", "/"),
}  # fmt: skip


def reference_kind(character: str, normalisation: str) -> tuple[str, str]:
    """(kind, what the character becomes) by the documented rules, with unicodedata only."""
    code, category = ord(character), unicodedata.category(character)
    if normalisation == "whitespace":
        if code < 0x10000 and (character.isspace() or category[0] == "M"):
            return ("separator", "") if character.isspace() else ("mark", character)
        return ("unit" if reference_kind(character, "fineweb")[0] == "unit" else "plain"), character
    if code >= 0x10000:
        kind = "unit" if 0x20000 <= code < 0x40000 else "separator" if 0x1F000 <= code < 0x20000 else "word"
        return ("drop" if code >= 0xE0000 else kind), character
    if normalisation == "words" and character in SIGNS:
        return ("minus" if character in "-\u2212\uff0d" else "joiner"), SIGNS[character]
    if category == "Cf" or (category[0] == "M" and code in DROPPED_MARKS):
        return "drop", ""
    if category[0] in "PSZC":
        return "separator", ""
    base = character
    for form in (unicodedata.normalize("NFKD" if code >= 0xFF00 else "NFD", character.lower()), character.lower()):
        rest = [c for c in form if ord(c) not in DROPPED_MARKS]
        if len(rest) == 1:
            base = rest[0]
            break
    if unicodedata.category(base) == "Nd":
        return ("plain", str(unicodedata.decimal(base))) if normalisation == "words" else ("digit", "0")
    return "mark" if category[0] == "M" else "unit" if ord(base) in UNSPACED else "word", base


def reference_units(text: str, normalisation: str = "fineweb") -> list[str]:
    units: list[str] = []
    state = "separator"  # separator | word | alone
    number = False
    kinds = [reference_kind(character, normalisation) for character in text]
    for (kind, base), (following, _) in itertools.zip_longest(kinds, kinds[1:], fillvalue=("", "")):
        if kind in ("minus", "joiner"):
            inside = following == "plain" and (number or (kind == "minus" and state != "word"))
            kind = "plain" if inside else "separator"
        if kind == "drop":
            continue
        if kind == "separator":
            state, number = "separator", False
            continue
        if kind == "digit" and number:
            continue
        number = kind in ("digit", "plain")
        if (kind == "mark" and state != "separator") or (kind in ("word", "digit", "plain") and state == "word"):
            units[-1] += base
        else:
            units.append(base)
            state = "alone" if kind == "unit" else "word"
    return units


def reference_shingles(text: str, ngram: int, normalisation: str = "fineweb") -> list[bytes]:
    units = reference_units(text, normalisation)
    if not units:
        return []
    width = min(ngram, len(units))
    return [" ".join(units[i : i + width]).encode() for i in range(len(units) - width + 1)]


def xxh3_32(data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_xxh3_equals_the_library_at_every_length_class(shift: int) -> None:
    data = np.random.default_rng(3).integers(0, 256, 12_000).astype(np.uint8)
    for length in [*range(300), 511, 512, 513, 1023, 1024, 1025, 1087, 1088, 1089, 2048, 2049, 11_000]:
        expected = xxhash.xxh3_64_intdigest(data[shift : shift + length].tobytes())
        assert int(xxh3_64(data, shift, shift + length)) == expected, length


def test_hash_slices_hashes_each_slice() -> None:
    data = np.frombuffer(b"the quick brown fox", np.uint8)
    starts, ends = np.array([0, 4, 4, 19]), np.array([3, 9, 19, 19])
    expected = [xxhash.xxh3_64_intdigest(data[a:b].tobytes()) for a, b in zip(starts, ends, strict=True)]
    assert hash_slices(data, starts, ends).tolist() == expected


def test_sha1_equals_hashlib_around_block_boundaries() -> None:
    data = np.random.default_rng(4).integers(0, 256, 300).astype(np.uint8)
    scratch = np.empty(85, np.uint32)
    for length in [0, 1, 3, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 255]:
        expected = int.from_bytes(hashlib.sha1(data[2 : 2 + length].tobytes()).digest()[:4], "little")
        assert int(sha1_32(data, 2, 2 + length, scratch)) == expected, length


@pytest.mark.parametrize("scheme", ["affine32", "legacy"])
@pytest.mark.parametrize("hash_name", ["xxh3", "sha1"])
@pytest.mark.parametrize(("num_perm", "seed", "ngram"), [(112, 1, 5), (128, 42, 3), (37, 7, 1)])
def test_signatures_are_bit_identical_to_datasketch(
    scheme: str, hash_name: str, num_perm: int, seed: int, ngram: int
) -> None:
    a, b = permutations(num_perm, seed, scheme)
    signatures, units = sign_texts(
        *text_buffers(pa.array(TEXTS)), a, b, ngram=ngram, hash_name=hash_name, scheme=scheme, normalisation="fineweb"
    )
    for text, signature, count in zip(TEXTS, signatures, units, strict=True):
        peer = MinHash(num_perm, seed=seed, scheme=scheme, hashfunc=xxh3_32 if hash_name == "xxh3" else None)
        peer.update_batch(reference_shingles(text, ngram))
        np.testing.assert_array_equal(signature, peer.hashvalues, err_msg=repr(text[:40]))
        assert count == len(reference_units(text))


NUMBERS = st.text(alphabet="0179٣४๕５abéжקき-\u2212\u2013.,:/'\u202f\u00a0\u200b \n中ก\u0e34", max_size=40)


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
@given(st.lists(st.one_of(st.text(max_size=60), NUMBERS), max_size=6), st.integers(1, 6))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_shingle_hashes_of_any_unicode_text(normalisation: Normalisation, texts: list[str], ngram: int) -> None:
    buffers = text_buffers(pa.array(texts, pa.string()))
    hashes, bounds = shingle_sets(*buffers, ngram=ngram, normalisation=normalisation)
    for i, text in enumerate(texts):
        expected = sorted({xxh3_32(shingle) for shingle in reference_shingles(text, ngram, normalisation)})
        assert hashes[bounds[i] : bounds[i + 1]].tolist() == expected


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Version 3.14, 12,345 people", ["version", "3.14", "12,345", "people"]),
        ("-4 to 4, 5-4, covid-19, \u22127", ["-4", "to", "4", "5-4", "covid", "19", "-7"]),
        ("12\u202f345 and 12 345", ["12,345", "and", "12", "345"]),
        ("٣٫١٤ ३.१४ ３．１４", ["3.14", "3.14", "3.14"]),
        ("2024-05-01 10:30, 1/2; 5. 6", ["2024-05-01", "10:30", "1/2", "5", "6"]),
        ("气温-4度，9:30发车", [*"气温", "-4", "度", "9:30", *"发车"]),
    ],
)
def test_a_number_is_one_unit_of_its_digits_and_signs(text: str, units: list[str]) -> None:
    assert reference_units(text, "words") == units
    found = shingle_sets(*text_buffers(pa.array([text])), ngram=1, normalisation="words")[0]
    assert found.tolist() == sorted({xxh3_32(unit.encode()) for unit in units})


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="use one of fineweb, words, whitespace"):
        shingle_sets(*text_buffers(pa.array(["a"])), ngram=1, normalisation="datatrove")  # type: ignore[arg-type]


SPACES = "".join(chr(code) for code in range(0x10000) if chr(code).isspace())


@given(st.lists(st.text(alphabet=st.one_of(st.sampled_from(SPACES), st.characters(exclude_categories=["Cs"])))))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_white_space_is_collapsed_as_python_splits(texts: list[str]) -> None:
    data, offsets = text_buffers(pa.array([*texts, SPACES + "a" + SPACES + "b" + SPACES], pa.string()))
    out = np.zeros(int(offsets[-1]) + 1, np.uint8)
    for text, (start, end) in zip([*texts, "a b"], itertools.pairwise(offsets.tolist()), strict=True):
        size = collapse_white_space(data, start, end, out, 1)
        assert bytes(out[1:size]).decode() == " ".join(text.split())


@pytest.mark.parametrize("min_words", [1, 2])
@pytest.mark.parametrize("normalisation", get_args(Normalisation))
@given(st.lists(st.one_of(st.text(max_size=30), NUMBERS), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_lines_are_equal_where_python_says_so(normalisation: Normalisation, min_words: int, lines: list[str]) -> None:
    lines = [line.replace("\n", " ") for line in lines]
    buffers = text_buffers(pa.array(["\n".join(lines) + "\n"], pa.string()))
    keys, ends, _ = line_keys(*buffers, by_paragraph=False, min_words=min_words, normalisation=normalisation)
    exact = normalisation == "whitespace"
    same = [" ".join(line.split() if exact else reference_units(line, normalisation)) for line in lines]
    for key, line, text in zip(keys.tolist(), lines, same, strict=True):
        counted = len(reference_units(line, "words" if exact else normalisation)) >= min_words
        assert key == (xxhash.xxh3_64_intdigest(text.encode()) | 1 if counted else 0)
    assert ends.tolist() == list(itertools.accumulate(len(line.encode()) + 1 for line in lines))


def test_character_shingles_are_windows_of_the_normalised_text() -> None:
    text = "Ab,  c 中文\tÉz"
    hashes, _ = shingle_sets(*text_buffers(pa.array([text])), ngram=3, shingle="character")
    normal = "ab c 中文 ez"
    assert hashes.tolist() == sorted({xxh3_32(normal[i : i + 3].encode()) for i in range(len(normal) - 2)})


def test_signatures_of_sets_equal_those_of_texts() -> None:
    for scheme in ("affine32", "legacy"):
        a, b = permutations(64, 1, scheme)
        buffers = text_buffers(pa.array(TEXTS))
        hashes, bounds = shingle_sets(*buffers, ngram=2)
        from_sets = sign_hash_sets(hashes, bounds[:-1], bounds[1:], a, b, scheme=scheme)
        np.testing.assert_array_equal(from_sets, sign_texts(*buffers, a, b, ngram=2, scheme=scheme)[0])


def test_text_buffers_of_slices_nulls_and_large_strings() -> None:
    for kind in (pa.string(), pa.large_string()):
        column = pa.array(["zero", None, "two", "", "vier"], kind).slice(1, 3)
        data, offsets = text_buffers(column)
        assert [bytes(data[a:b]) for a, b in itertools.pairwise(offsets)] == [b"", b"two", b""]
    assert text_buffers(pa.array([], pa.string()))[1].tolist() == [0]
    with pytest.raises(TypeError, match="string array"):
        text_buffers(pa.array([b"x"]))
