"""Hashes, normalisation and signatures against xxhash, hashlib, unicodedata and datasketch."""

import hashlib
import itertools
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.kernels.text.keys.minhash import permutations, shingle_sets, sign_hash_sets, sign_texts
from autoclave.kernels.text.keys.normalisation import text_buffers
from autoclave.kernels.text.keys.sha1 import sha1_32
from autoclave.kernels.text.keys.xxh3 import hash_slices, xxh3_64

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


def reference_units(text: str) -> list[str]:
    """The documented rules, character by character, with unicodedata only."""
    units: list[str] = []
    state = "separator"  # separator | word | alone
    digit = False
    for character in text:
        code, category = ord(character), unicodedata.category(character)
        if code >= 0x10000:
            kind = "unit" if 0x20000 <= code < 0x40000 else "separator" if 0x1F000 <= code < 0x20000 else "word"
            kind, base = ("drop" if code >= 0xE0000 else kind), character
        elif category == "Cf" or (category[0] == "M" and code in DROPPED_MARKS):
            continue
        elif category[0] in "PSZC":
            kind, base = "separator", ""
        else:
            base = character
            forms = (unicodedata.normalize("NFKD" if code >= 0xFF00 else "NFD", character.lower()), character.lower())
            for form in forms:
                rest = [c for c in form if ord(c) not in DROPPED_MARKS]
                if len(rest) == 1:
                    base = rest[0]
                    break
            kind = "mark" if category[0] == "M" else "unit" if ord(base) in UNSPACED else "word"
            if unicodedata.category(base) == "Nd":
                kind, base = "digit", "0"
        if kind == "drop":
            continue
        if kind == "separator":
            state, digit = "separator", False
            continue
        if kind == "digit" and digit:
            continue
        digit = kind == "digit"
        if (kind == "mark" and state != "separator") or (kind in ("word", "digit") and state == "word"):
            units[-1] += base
        else:
            units.append(base)
            state = "alone" if kind == "unit" else "word"
    return units


def reference_shingles(text: str, ngram: int) -> list[bytes]:
    units = reference_units(text)
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
    signatures, words = sign_texts(
        *text_buffers(pa.array(TEXTS)), a, b, ngram=ngram, hash_name=hash_name, scheme=scheme
    )
    for text, signature, count in zip(TEXTS, signatures, words, strict=True):
        peer = MinHash(num_perm, seed=seed, scheme=scheme, hashfunc=xxh3_32 if hash_name == "xxh3" else None)
        peer.update_batch(reference_shingles(text, ngram))
        np.testing.assert_array_equal(signature, peer.hashvalues, err_msg=repr(text[:40]))
        assert count == len(reference_units(text))


@given(st.lists(st.text(max_size=60), max_size=6), st.integers(1, 6))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_shingle_hashes_of_any_unicode_text(texts: list[str], ngram: int) -> None:
    hashes, bounds = shingle_sets(*text_buffers(pa.array(texts, pa.string())), ngram=ngram)
    for i, text in enumerate(texts):
        expected = sorted({xxh3_32(shingle) for shingle in reference_shingles(text, ngram)})
        assert hashes[bounds[i] : bounds[i + 1]].tolist() == expected


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
    with pytest.raises(TypeError, match="string column"):
        text_buffers(pa.array([b"x"]))
