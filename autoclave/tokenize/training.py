"""Training of the tokenizer: byte-pair merges over characters, with a token for every byte below them.

Why this shape. A character that is in the alphabet is one token; any other falls back to the tokens of its UTF-8
bytes, so every text can be written and is read back exactly. Spaces are ordinary characters: there is no Metaspace
mark, no prefix space and no normalisation, since Chinese, Japanese and Thai have no spaces to mark and a corpus must
come back as it went in. A pattern cuts text into pieces that merges never cross:

- runs of Han and kana, without a space before them (they are not words, so a leading space would only double tokens);
- runs of other letters with at most one character before them, usually the space: a word;
- single digits, as the tokenizer of the published model has them (numbers are then spelled the same everywhere);
- runs of punctuation; runs of line ends; runs of spaces.

`<unk>`, `<s>`, `</s>` and the byte tokens are entries of the vocabulary, not "added tokens": the text "</s>" or
"<0x41>" in a crawled page is text, never a control token. The pattern keeps merges from ever spelling one of them,
since none of its pieces holds "<", a letter and ">" (or a letter and a digit) together.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from autoclave.errors import RecipeError
from autoclave.tokenize.alphabet import BASE, HanAlphabet, choose_alphabet, common_han, count_characters

UNK_ID, BOS_ID, EOS_ID = 0, 1, 2
SPECIALS = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
RESERVED = len(SPECIALS) + len(BYTES)
"""Ids before the alphabet: special tokens, then one token a byte."""

_NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}ー"
PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)"
    rf"|[{_NO_SPACES}]+"
    rf"|[^\r\n\p{{L}}\p{{M}}\p{{N}}]?[\p{{L}}\p{{M}}&&[^{_NO_SPACES}]]+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)

OUTSIDE = "\uffff"
"""Stands for every character outside the alphabet while merges are counted. It is a noncharacter, so the pattern ends a
word there, and it is in no alphabet: no merge reaches across a character that will be written in bytes."""


class TokenizerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the vocabulary is made of."""

    vocabulary_size: int = 64_000
    """Tokens in all; fewer where the sample has no more pairs to merge. At most 65,536 keeps token shards in uint16."""
    han_alphabet: HanAlphabet = "auto"
    """Han characters with a token of their own whatever the sample shows: none, simplified (GB 2312 level 1: 3,755),
    common (with Big5 level 1: 6,722), or auto: what the vocabulary has room for."""
    minimum_han_count: int = 2
    """A Han character seen this often in the sample has a token of its own."""
    minimum_character_count: int = 20
    """The same for any other character."""
    minimum_pair_count: int = 2
    """Pairs seen less often are not merged."""
    maximum_token_characters: int = 24
    """No token is longer: rules and rows of dashes are not words."""


def train_tokenizer(texts: Callable[[], Iterable[str]], settings: TokenizerSettings) -> str:
    """Return a tokenizer.json trained on `texts()`, which is called twice and must give the same texts both times.

    The result depends on the texts and the settings alone: not on the order of the texts, nor on threads. Raises
    RecipeError where the vocabulary cannot hold the reserved ids and the alphabet.
    """
    alphabet = _alphabet(texts, settings)
    rare = _RareCharacters(alphabet)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary_size - RESERVED,
        min_frequency=settings.minimum_pair_count,
        special_tokens=[],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        max_token_length=settings.maximum_token_characters,
        show_progress=False,
    )
    tokenizer.train_from_iterator((text.translate(rare) for text in texts()), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return assemble_tokenizer(model["vocab"], [(left, right) for left, right in model["merges"]])


def _alphabet(texts: Callable[[], Iterable[str]], settings: TokenizerSettings) -> list[str]:
    """The alphabet fills at most half of what the reserved ids leave, or what is guaranteed where that is more."""
    room = settings.vocabulary_size - RESERVED
    guaranteed = [*BASE, *common_han(settings.han_alphabet, settings.vocabulary_size)]
    if room <= len(guaranteed):
        raise RecipeError(
            f"vocabulary_size {settings.vocabulary_size} is too small: {RESERVED} reserved ids and {len(guaranteed)} "
            f"guaranteed characters leave nothing to learn; raise it or set han_alphabet to none"
        )
    return choose_alphabet(
        count_characters(texts()),
        guaranteed=guaranteed,
        minimum_han=settings.minimum_han_count,
        minimum_other=settings.minimum_character_count,
        limit=room // 2,
    )


class _RareCharacters(dict[int, Any]):
    """A table for str.translate that maps every character outside the alphabet to OUTSIDE."""

    def __init__(self, alphabet: Iterable[str]) -> None:
        super().__init__((ord(character), ord(character)) for character in alphabet)

    def __missing__(self, code_point: int) -> str:
        return OUTSIDE


def assemble_tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> str:
    """Return a tokenizer.json with the reserved ids first, then `vocabulary` (token -> rank) in its order.

    Raises ValueError where a learned token would take the name of a reserved one.
    """
    learned = sorted(vocabulary, key=vocabulary.__getitem__)
    taken = set(learned) & {*SPECIALS, *BYTES}
    if taken:
        raise ValueError(f"learned tokens {sorted(taken)} have the names of reserved ones")
    ids = {token: index for index, token in enumerate([*SPECIALS, *BYTES, *learned])}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token=SPECIALS[UNK_ID], byte_fallback=True))
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer.to_str()


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(PATTERN), "isolated")


def truncate_text(text: str, maximum_bytes: int) -> str:
    """Return the start of `text`: at most `maximum_bytes` of UTF-8, cut between characters."""
    data = text.encode()
    return text if len(data) <= maximum_bytes else data[:maximum_bytes].decode(errors="ignore")
