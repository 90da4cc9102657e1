"""Cutting normalised text into the units that a model counts: words and characters, or the pieces of a tokenizer."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from autoclave.corpus.storage import local_versions
from autoclave.errors import InputError, MissingDependencyError

Cut = Callable[[list[str]], list[str]]
"""Texts -> the same texts as units with single spaces between them."""

_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af])"
)
_BLANK = re.compile(r"\s")


def cut_words(texts: list[str]) -> list[str]:
    """Words between white space; characters of scripts without it (Chinese, Japanese, Thai, ...) stand alone."""
    return [" ".join(_UNSPACED.sub(r" \1 ", text).split()) for text in texts]


def load_cut(tokenizer: str | None) -> Cut:
    """Return how to cut text: None for `cut_words`, a tokenizer.json (tokenizers) or a .model (sentencepiece).

    Raises InputError where the file cannot be loaded, MissingDependencyError without sentencepiece.
    """
    if tokenizer is None:
        return cut_words
    return _load_cut(tokenizer, local_versions(tokenizer))


@functools.lru_cache(maxsize=8)
def _load_cut(tokenizer: str, versions: object) -> Cut:
    return _load_sentencepiece(tokenizer) if tokenizer.endswith(".model") else _load_tokenizer(tokenizer)


def _load_tokenizer(path: str) -> Cut:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the binding raises bare Exception
        raise InputError(f"{path}: not a tokenizer.json ({error})") from error

    def cut(texts: list[str]) -> list[str]:
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)  # the fast one leaves tokens empty
        return [" ".join([_BLANK.sub("▁", piece) for piece in one.tokens]) for one in encoded]

    return cut


def _load_sentencepiece(path: str) -> Cut:
    try:
        import sentencepiece
    except ImportError as error:
        raise MissingDependencyError("sentencepiece", "kenlm", f"cutting text with {path}") from error
    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: not a sentencepiece model ({error})") from error

    def cut(texts: list[str]) -> list[str]:
        return [" ".join(one) for one in pieces.encode(texts, out_type=str)]

    return cut
