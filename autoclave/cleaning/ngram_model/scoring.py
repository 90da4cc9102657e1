"""Scoring texts with an n-gram model: through `kenlm` where it is installed, otherwise by our own kernel."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from autoclave.cleaning.ngram_model.arpa import ArpaModel, read_arpa
from autoclave.cleaning.ngram_model.keys import ModelTables, fill_table, hash_words, new_table, ngram_keys, score_texts
from autoclave.cleaning.ngram_model.normalisation import Normalisation, normalise
from autoclave.cleaning.ngram_model.units import load_cut
from autoclave.corpus.storage import local_versions
from autoclave.errors import InputError, MissingDependencyError
from autoclave.kernels.text.texts import Texts

Backend = Literal["auto", "kenlm", "own"]

ARPA_ENDINGS = (".arpa", ".arpa.gz", ".arpa.zst", ".arpa.zstd")
"""Names of files that our own scorer reads; anything else is taken for KenLM's binary format."""


@dataclass(frozen=True)
class Scores:
    """Scores of some texts, one value a text. log10: float64, log10 probability of all units and the end; events:
    int64, units + 1; unknown: int64, units that the model does not know."""

    log10: np.ndarray
    events: np.ndarray
    unknown: np.ndarray

    @property
    def perplexity(self) -> np.ndarray:
        """10^(-log10 / events), float64: KenLM's and CCNet's."""
        return np.power(10.0, -self.log10 / self.events)


class Scorer(Protocol):
    """Scores each text (string or large_string [texts], no nulls) as one sentence of units between white space."""

    def score(self, texts: pa.StringArray) -> Scores: ...


class OwnScorer:
    """An ARPA model in memory: 12 bytes a slot, about two slots an n-gram."""

    def __init__(self, model: ArpaModel, name: str = "model") -> None:
        self.order = model.order
        words = new_table(len(model.words))
        lengths = np.array([len(word) for word in model.words], dtype=np.int64)
        data = np.frombuffer(b"".join(model.words), dtype=np.uint8)
        keys = np.empty(len(model.words), dtype=np.uint64)
        hash_words(data, np.concatenate([[0], np.cumsum(lengths)]), keys)
        repeated = fill_table(keys, 0, *words)
        sizes = [len(ngrams) for ngrams in model.ngrams]
        rows = new_table(sum(sizes[1:]))
        first = sizes[0]
        for ngrams in model.ngrams[1:]:
            keys = np.empty(len(ngrams), dtype=np.uint64)
            ngram_keys(np.ascontiguousarray(ngrams), keys)
            repeated += fill_table(keys, first, *rows)
            first += len(ngrams)
        if repeated:
            raise InputError(f"{name}: {repeated} n-grams stand there twice (or collide); write the model anew")
        columns = np.concatenate(model.probabilities), np.concatenate(model.backoffs)
        self._tables = ModelTables(model.order, *words, *rows, *columns)

    def score(self, texts: pa.StringArray) -> Scores:
        """Return the scores; texts: Arrow string array [texts] without nulls."""
        rows = len(texts)
        _, offsets, values = texts.buffers()
        data = np.frombuffer(values, dtype=np.uint8) if values is not None and values.size else np.zeros(1, np.uint8)
        places = np.zeros(1, dtype=np.int64)
        if rows:
            kind = np.int32 if texts.type == pa.string() else np.int64
            places = np.frombuffer(offsets, dtype=kind)[texts.offset : texts.offset + rows + 1].astype(np.int64)
        result = Scores(np.empty(rows), np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64))
        score_texts(Texts(data, places), self._tables, result.log10, result.events, result.unknown)
        return result


class KenlmScorer:
    """A model that KenLM reads: ARPA or its binary formats."""

    def __init__(self, path: str) -> None:
        kenlm = _kenlm()
        if kenlm is None:
            raise MissingDependencyError("kenlm-ex", "kenlm", f"scoring with {path}")
        quiet = kenlm.Config()  # otherwise every worker draws a progress bar of its own
        quiet.show_progress = False
        quiet.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self._model = kenlm.Model(path, quiet)
        except OSError as error:
            raise InputError(f"{path}: KenLM cannot read it ({str(error).splitlines()[-1]})") from error

    def score(self, texts: pa.StringArray) -> Scores:
        """Return the scores; texts: Arrow string array [texts] without nulls."""
        result = Scores(*(np.empty(len(texts), dtype=kind) for kind in (np.float64, np.int64, np.int64)))
        for row, text in enumerate(texts.to_pylist()):
            found = [(logarithm, unknown) for logarithm, _, unknown in self._model.full_scores(text)]
            result.log10[row] = sum(logarithm for logarithm, _ in found)
            result.events[row] = len(found)
            result.unknown[row] = sum(unknown for _, unknown in found)
        return result


def _kenlm() -> Any:
    try:
        return importlib.import_module("kenlm")
    except ImportError:
        return None


def load_scorer(path: str, backend: Backend = "auto") -> Scorer:
    """Return a scorer, loaded once a process and version of the file.

    auto: `kenlm` where it is installed, otherwise our own for ARPA files. Raises InputError for unreadable models and
    MissingDependencyError for binary ones without `kenlm`.
    """
    return _load_scorer(path, backend, local_versions(path))


@functools.lru_cache(maxsize=16)
def _load_scorer(path: str, backend: Backend, versions: object) -> Scorer:
    arpa = path.endswith(ARPA_ENDINGS)
    if backend == "own" and not arpa:
        raise InputError(f"{path}: our own scorer reads {', '.join(ARPA_ENDINGS)}; use scorer: kenlm for binary models")
    if backend == "own" or (arpa and backend == "auto" and (_kenlm() is None or not path.endswith(".arpa"))):
        return OwnScorer(read_arpa(path), path)
    return KenlmScorer(path)


@dataclass(frozen=True)
class LanguageModel:
    """A model with the way its texts are prepared. model: path; tokenizer: as `units.load_cut` has it."""

    model: str
    tokenizer: str | None = None
    normalisation: Normalisation = "ccnet"
    backend: Backend = "auto"

    def prepare(self, texts: list[str]) -> pa.StringArray:
        """Return the texts normalised and cut into units, large_string, one line a text."""
        lines = [normalise(text, self.normalisation) for text in texts]
        return pa.array(load_cut(self.tokenizer)(lines), pa.large_string())

    def score(self, texts: list[str]) -> Scores:
        """Return the scores of raw texts, each as one sentence."""
        return load_scorer(self.model, self.backend).score(self.prepare(texts))
