"""CCNet's buckets: head, middle and tail of the perplexities of a language (Wenzek et al. 2020, section 3.4)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np

from autoclave.corpus.storage import Folder, open_read
from autoclave.errors import InputError

BUCKET_NAMES = {0: "head", 1: "middle", 2: "tail", -1: "all"}
"""Names by number; a document without a language model or cut-offs is in 'all', as in CCNet."""

PERCENTILES = (30.0, 60.0)
"""Where head ends and where middle ends."""

Cutoffs = Mapping[str, tuple[float, float]]
"""language -> perplexities at PERCENTILES."""

CCNET_CUTOFFS: Cutoffs = {
    "en": (340, 520), "zh": (1460, 1950), "ja": (1110, 1450), "fr": (180, 330), "de": (370, 590), "ru": (210, 310),
    "ko": (920, 2130),
}  # fmt: skip
"""cc_net data/cutoff.csv, rounded. Good only with CCNet's own models and tokenizers and `ccnet-exact`."""


def fit_cutoffs(
    perplexities: Mapping[str, Iterable[float]], min_documents: int = 100
) -> dict[str, tuple[float, float]]:
    """Return the cut-offs of each language from the perplexities of a sample; not-a-numbers are left out.

    Raises InputError for a language with fewer than min_documents documents.
    """
    cutoffs = {}
    for language in sorted(perplexities):
        values = np.asarray(list(perplexities[language]), dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values) < min_documents:
            raise InputError(f"language {language}: {len(values)} documents, {min_documents} needed to fit cut-offs")
        head, middle = np.percentile(values, PERCENTILES)
        cutoffs[language] = (float(head), float(middle))
    return cutoffs


def bucket_numbers(perplexity: np.ndarray, languages: Iterable[str | None], cutoffs: Cutoffs) -> np.ndarray:
    """Return int32[n]: 0 head, 1 middle, 2 tail, -1 where the language has no cut-offs or there is no perplexity.

    perplexity: float64[n], NaN for none; languages: code per document.
    """
    none = (np.nan, np.nan)
    limits = np.array([cutoffs.get(code or "", none) for code in languages], dtype=np.float64).reshape(-1, 2)
    bucket = (perplexity >= limits[:, 0]).astype(np.int32) + (perplexity >= limits[:, 1])
    bucket[~np.isfinite(limits[:, 0]) | ~np.isfinite(perplexity)] = -1
    return bucket.astype(np.int32)


def save_cutoffs(cutoffs: Cutoffs, path: str) -> None:
    """Write cut-offs as JSON: language -> [head, middle]."""
    parent, _, name = path.rpartition("/")
    text = json.dumps({language: list(limits) for language, limits in sorted(cutoffs.items())}, indent=1)
    Folder(parent or ("/" if path.startswith("/") else ".")).write_bytes(name, text.encode() + b"\n")


def load_cutoffs(path: str) -> dict[str, tuple[float, float]]:
    """Read what save_cutoffs wrote; InputError for anything else."""
    with open_read(path) as file:
        try:
            table = json.load(file)
            return {str(code): (float(head), float(middle)) for code, (head, middle) in table.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a table of cut-offs, language -> [head, middle] ({error})") from error
