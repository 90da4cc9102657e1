"""The filter `perplexity`: an n-gram model per language, CCNet's perplexity and bucket as signals."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.dialects import DIALECTS
from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement
from autoclave.cleaning.language.words import Scan
from autoclave.cleaning.ngram_model.buckets import bucket_numbers, load_cutoffs
from autoclave.cleaning.ngram_model.normalisation import Normalisation
from autoclave.cleaning.ngram_model.scoring import Backend, LanguageModel
from autoclave.corpus.yaml_values import with_remedy
from autoclave.errors import RecipeError

SOURCE = "Wenzek et al. 2020, arXiv 1911.00359 (CCNet); perplexity as KenLM defines it"


class PerplexityRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of the filter besides its bounds (on perplexity, perplexity_bucket, ngram_bits_per_byte)."""

    models: dict[str, str] = {}
    """language -> path of its model, ARPA or KenLM binary; the key '*' is for all other languages."""
    tokenizers: dict[str, str] = {}
    """language -> tokenizer.json or sentencepiece .model; words and characters where there is none."""
    normalisation: Normalisation = "ccnet"
    """How text is prepared: ccnet, ccnet-exact (line breaks deleted, as published), none."""
    cutoffs: dict[str, tuple[float, float]] | str = {}
    """language -> [end of head, end of middle], or a file that `autoclave kenlm cutoffs` wrote."""
    scorer: Backend = "auto"
    """kenlm, own, or auto: kenlm where it is installed."""


def perplexity_filter(rules: PerplexityRules, languages: tuple[str, ...] | None = None) -> Filter:
    """Return the filter; it drops nothing until one of its signals is bounded.

    perplexity: float32, undefined (and kept) without a model; ngram_bits_per_byte: float32, of the text as it is;
    perplexity_bucket: int32, 0 head, 1 middle, 2 tail, -1 all. `perplexity_bucket: [null, 1]` drops the tail.
    """

    def measure(scan: Scan, measurement: Measurement) -> Columns:
        if not rules.models:
            raise RecipeError("filter 'perplexity': name a model per language, as in 'models: {en: en.arpa}'")
        cutoffs = load_cutoffs(rules.cutoffs) if isinstance(rules.cutoffs, str) else rules.cutoffs
        perplexity, bits = _score(scan, measurement, rules)
        bucket = bucket_numbers(perplexity, measurement.languages, cutoffs)
        return {
            "perplexity": perplexity.astype(np.float32),
            "ngram_bits_per_byte": bits.astype(np.float32),
            "perplexity_bucket": bucket,
        }

    bounds = (Bound("perplexity"), Bound("perplexity_bucket"), Bound("ngram_bits_per_byte"))
    files = (*rules.models.values(), *rules.tokenizers.values())
    if isinstance(rules.cutoffs, str):
        files += (rules.cutoffs,)
    return Filter("perplexity", SOURCE, bounds, measure, languages=languages, rules=rules, files=files)


def _score(scan: Scan, measurement: Measurement, rules: PerplexityRules) -> tuple[np.ndarray, np.ndarray]:
    rows = len(scan)
    perplexity, bits = np.full(rows, np.nan), np.full(rows, np.nan)
    sizes = np.diff(scan.offsets)
    text: Any = None
    chosen = [code if code in rules.models else "*" for code in (code or "*" for code in measurement.languages)]
    for code in sorted(set(chosen) & rules.models.keys()):
        if text is None:
            buffers = [None, pa.py_buffer(scan.offsets), pa.py_buffer(np.ascontiguousarray(scan.data))]
            text = pa.LargeStringArray.from_buffers(rows, buffers[1], buffers[2]).to_pylist()
        wanted = np.flatnonzero((np.array(chosen) == code) & (sizes > 0))
        model = LanguageModel(rules.models[code], rules.tokenizers.get(code), rules.normalisation, rules.scorer)
        scores = model.score([text[row] for row in wanted])
        found = scores.perplexity
        perplexity[wanted] = np.round(found, 1) if rules.normalisation == "ccnet-exact" else found
        bits[wanted] = -scores.log10 * np.log2(10) / sizes[wanted]
    return perplexity, bits


RULES = dict.fromkeys(DIALECTS, PerplexityRules())
"""Rules by dialect: perplexity has one reading, so all dialects share it."""

FILTERS = {name: perplexity_filter(rules) for name, rules in RULES.items()}


def build(dialect: str, rules: dict[str, object], languages: object, where: str) -> Filter:
    """Return the filter with its rules set; RecipeError for values of a wrong type or no model."""
    try:
        chosen = msgspec.convert(rules, PerplexityRules)
        applied = None if languages == () else msgspec.convert(languages, tuple[str, ...] | None)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {with_remedy(error)}") from error
    if not chosen.models:
        raise RecipeError(f"{where}.models: name a model per language, as in 'models: {{en: en.arpa}}'")
    return perplexity_filter(chosen, applied)
