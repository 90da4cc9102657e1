"""What a document's badness is made of: one interface, a method a way.

A method is fitted on a sample of the table of scores, and gives every row a number: the higher, the worse, comparable
within a stratum. Methods in bits are cut where a stratum's tail holds more than good text would put there (excess.py);
methods in log-odds are cut at zero, where bad becomes likelier than good. A method of your own is an object of this
type, named in a recipe as module:OBJECT.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa

from autoclave.cleaning.selfclean.evidence import EVIDENCE, Evidence, fit_evidence, log_odds
from autoclave.cleaning.selfclean.logistic import Logistic, fit_logistic
from autoclave.cleaning.selfclean.residuals import Usual, column_of, fit_usual, residual_matrix
from autoclave.cleaning.selfclean.table import MODEL_SCORES, TEXT_SIGNALS
from autoclave.errors import RecipeError

OFFSET = 8.0
"""Added to badness that may be negative, so that it has a bin (thresholds.py)."""

Labels = Mapping[bytes, bool]
"""What people said: doc_id -> whether the document is bad."""


class Fitted(msgspec.Struct, frozen=True):
    """What a method found in the sample. usual: column -> stratum -> what is usual there."""

    usual: dict[str, dict[str, Usual]] = {}
    evidence: list[Evidence] = []
    logistic: Logistic | None = None


@dataclass(frozen=True)
class Method:
    """fit: (sample of the table, its strata, labels) -> Fitted; badness: (rows, strata, Fitted) -> float64 [n].

    columns: what it reads; models: evaluation models a round, 0 for one a fold; log_odds: whether badness is log-odds
    of being bad, cut at OFFSET, or a score whose excess is cut.
    """

    columns: tuple[str, ...]
    badness: Callable[[pa.Table | pa.RecordBatch, pa.Array, Fitted], np.ndarray]
    fit: Callable[[pa.Table, pa.Array, Labels | None], Fitted] = lambda sample, names, labels: Fitted()
    models: int = 0
    log_odds: bool = False


def _column(name: str, offset: float = 0.0) -> Callable[[pa.Table | pa.RecordBatch, pa.Array, Fitted], np.ndarray]:
    return lambda rows, names, fitted: column_of(rows, name) + offset


LABEL_COLUMNS = (*(name for name in MODEL_SCORES if name != "surprise_mean"), *TEXT_SIGNALS)
"""What the combined method reads where people gave labels; columns without values count for nothing."""

LEAST_WIDTH = 0.02
"""Values that lie nearer together do not differ (bits, nats, shares)."""

FEWEST_LABELS = 40
"""With fewer labels, of which a quarter must be of either kind, none of them is used."""


def _fit_combined(sample: pa.Table, names: pa.Array, labels: Labels | None) -> Fitted:
    columns = [one for one in LABEL_COLUMNS if one in sample.column_names]
    usual = {one: fit_usual(column_of(sample, one), names, LEAST_WIDTH) for one in columns}
    evidence = fit_evidence(sample, names, usual)
    if not labels:
        return Fitted(usual, evidence)
    ids = sample.column("doc_id").to_pylist()
    rows = np.array([row for row, one in enumerate(ids) if one in labels], dtype=np.int64)
    bad = np.array([labels[ids[row]] for row in rows], dtype=np.bool_)
    if len(rows) < FEWEST_LABELS or min(bad.sum(), (~bad).sum()) < FEWEST_LABELS // 4:
        raise RecipeError(
            f"labels: {len(rows)} of the documents are labelled, {int(bad.sum())} of them bad; combined needs at least "
            f"{FEWEST_LABELS}, and {FEWEST_LABELS // 4} of either kind: judge more of the sample, or leave labels out"
        )
    matrix = _features(sample, names, usual, columns)[rows]
    return Fitted(usual, evidence, fit_logistic(matrix, bad, columns))


def _features(
    rows: pa.Table | pa.RecordBatch, names: pa.Array, usual: Mapping[str, Mapping[str, Usual]], columns: list[str]
) -> np.ndarray:
    """Residuals, and how far each lies above and below the usual: float64 [n, 2 * columns]."""
    found = np.clip(residual_matrix(rows, names, columns, usual) / 2, -2, 2)
    return np.concatenate([np.maximum(found, 0), np.maximum(-found, 0)], axis=1)


def _combined(rows: pa.Table | pa.RecordBatch, names: pa.Array, fitted: Fitted) -> np.ndarray:
    if fitted.logistic is not None:
        columns = fitted.logistic.columns
        return OFFSET + fitted.logistic.log_odds(_features(rows, names, fitted.usual, columns))
    return OFFSET + log_odds(rows, names, fitted.usual, fitted.evidence)


METHODS: dict[str, Method] = {
    "cross-fit": Method(("bits_per_byte",), _column("bits_per_byte")),
    "single": Method(("bits_per_byte",), _column("bits_per_byte"), models=1),
    "trusted": Method(("trusted_difference",), _column("trusted_difference", OFFSET)),
    "kenlm": Method(("kenlm_bits_per_byte",), _column("kenlm_bits_per_byte")),
    "combined": Method(("bits_per_byte", *sorted({one.column for one in EVIDENCE})), _combined, _fit_combined, 0, True),
}


def load_method(name: str) -> Method:
    """Return a method by its name in METHODS, or as module:OBJECT. Raises RecipeError where there is none."""
    if name in METHODS:
        return METHODS[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise RecipeError(f"method: '{name}' is none of {', '.join(METHODS)}, nor module:OBJECT")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"method: cannot load '{name}': {error}") from error
    if not isinstance(found, Method):
        raise RecipeError(f"method: '{name}' is no Method of autoclave.cleaning.selfclean.methods")
    return found
