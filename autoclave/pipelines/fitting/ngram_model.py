"""Training n-gram models and fitting their buckets: what `autoclave kenlm train` and `kenlm cutoffs` call."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from autoclave.cleaning.ngram_model.arpa import write_arpa
from autoclave.cleaning.ngram_model.buckets import fit_cutoffs, save_cutoffs
from autoclave.cleaning.ngram_model.estimation import FALLBACK_DISCOUNTS, estimate
from autoclave.cleaning.ngram_model.normalisation import Normalisation, normalise
from autoclave.cleaning.ngram_model.scoring import Backend, LanguageModel
from autoclave.cleaning.ngram_model.units import load_cut
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError, RunError
from autoclave.pipelines.fitting.texts import read_texts

BATCH = 1000
"""Texts prepared at once."""


class NgramTrainingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `autoclave kenlm train`."""

    order: int = 5
    """Words of the longest n-grams (CCNet: 5)."""
    tokenizer: str | None = None
    """tokenizer.json or sentencepiece .model; null for words, and characters where there are no spaces."""
    normalisation: Normalisation = "ccnet"
    """How text is prepared; the filter must use the same."""
    lmplz: str | None = "auto"
    """Path of KenLM's lmplz; auto takes it from PATH, null never: our own estimator, for models that fit in memory."""
    prune: list[int] = []
    """lmplz --prune: n-grams of each order seen so often or less go; only with lmplz. Empty keeps all."""
    discount_fallback: bool = False
    """Take fixed discounts where the text is too small or artificial to estimate them."""
    memory: str = "1G"
    """lmplz -S: memory for sorting."""

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 8:
            raise RecipeError(f"order: {self.order} is not between 1 and 8")


def train_ngram_model(
    documents: Sequence[str],
    out: str,
    settings: NgramTrainingSettings | None = None,
    *,
    language: str | None = None,
    limit: int | None = None,
) -> str:
    """Train a model on documents, each one line, and write it as ARPA; return who estimated it ("lmplz" or "own").

    documents: stage directories or files (`training_texts.read_texts`); language, limit: which of them; out: path
    that ends in .arpa. Raises InputError for unusable texts, RecipeError where lmplz is wanted and absent, RunError
    where it fails.
    """
    chosen = settings or NgramTrainingSettings()
    if not out.endswith(".arpa"):
        raise RecipeError(f"{out}: the model is written as ARPA; give a name that ends in .arpa")
    lines = prepared_lines(read_texts(documents, language, limit), chosen)
    program = _find_lmplz(chosen)
    if program is None:
        fallback = FALLBACK_DISCOUNTS if chosen.discount_fallback else None
        write_arpa(estimate(lines, chosen.order, discount_fallback=fallback), out)
        return "own"
    _run_lmplz(program, lines, out, chosen)
    return "lmplz"


def prepared_lines(texts: Iterable[str], settings: NgramTrainingSettings) -> Iterator[str]:
    """Yield the texts normalised and cut into units, one line each."""
    cut = load_cut(settings.tokenizer)
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH)):
        yield from cut([normalise(text, settings.normalisation) for text in batch])


def _find_lmplz(settings: NgramTrainingSettings) -> str | None:
    program = shutil.which("lmplz" if settings.lmplz == "auto" else settings.lmplz) if settings.lmplz else None
    if program is None and settings.lmplz not in (None, "auto"):
        raise RecipeError(f"lmplz: no program '{settings.lmplz}'; give KenLM's lmplz, auto or null")
    if program is None and any(settings.prune):
        raise RecipeError("prune: needs KenLM's lmplz, which is not on PATH; build it or leave prune empty")
    return program


def _run_lmplz(program: str, lines: Iterable[str], out: str, settings: NgramTrainingSettings) -> None:
    with tempfile.TemporaryDirectory(prefix="autoclave-lmplz-") as scratch:
        text, arpa = Path(scratch, "text"), Path(scratch, "model.arpa")
        with text.open("w", encoding="utf-8", errors="replace") as file:
            written = sum(bool(file.write(line + "\n")) for line in lines)
        if not written:
            raise InputError("no words to estimate a language model from: give a text with words")
        command = [program, "-o", str(settings.order), "-S", settings.memory, "-T", scratch, "--skip_symbols"]
        command += ["--text", str(text), "--arpa", str(arpa)]
        if settings.prune:
            command += ["--prune", *map(str, settings.prune)]
        if settings.discount_fallback:
            command.append("--discount_fallback")
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RunError(f"{program} failed ({last}); give more text or discount_fallback")
        parent, _, name = out.rpartition("/")
        with (
            Folder(parent or ("/" if out.startswith("/") else ".")).open_write(name) as target,
            arpa.open("rb") as file,
        ):
            while piece := file.read(1 << 20):
                target.write(piece)


def fit_cutoff_file(
    models: dict[str, str],
    documents: Sequence[str],
    out: str,
    *,
    tokenizers: dict[str, str] | None = None,
    normalisation: Normalisation = "ccnet",
    scorer: Backend = "auto",
    limit: int = 10_000,
) -> dict[str, tuple[float, float]]:
    """Fit the 30th and 60th percentile of perplexity of each language on a sample and write them as JSON.

    models, tokenizers: by language; documents: labelled with their language, the first `limit` of each are the sample.
    Raises InputError for languages with fewer than 100 documents.
    """
    perplexities = {}
    for language, path in models.items():
        model = LanguageModel(path, (tokenizers or {}).get(language), normalisation, scorer)
        values: list[float] = []
        remaining = read_texts(documents, language, limit)
        while batch := list(islice(remaining, BATCH)):
            values += model.score(batch).perplexity.tolist()
        perplexities[language] = values
    cutoffs = fit_cutoffs(perplexities)
    save_cutoffs(cutoffs, out)
    return cutoffs
