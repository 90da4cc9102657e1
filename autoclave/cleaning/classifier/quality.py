"""Quality classifiers: fastText models that tell good documents from the common crawl, trained and applied.

The recipe is DCLM's (Li et al. 2024, arXiv 2406.11794, section 4.4): positives are instruction data and well-voted
explanations, negatives random pages, features words and bigrams, and a quantile of the score decides.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterable
from pathlib import Path

import fasttext
import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from autoclave.cleaning.classifier.measures import CalibrationBin, calibration_table, roc_auc, threshold_for_share
from autoclave.cleaning.dialects import DIALECTS
from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement
from autoclave.cleaning.language.words import Scan
from autoclave.corpus.storage import local_versions
from autoclave.corpus.yaml_values import with_remedy
from autoclave.errors import InputError, RecipeError

SOURCE = "Li et al. 2024, arXiv 2406.11794 (DCLM-Baseline): fastText, words and bigrams, threshold by quantile"

DCLM_THRESHOLD = 0.018112
"""P(hq) that DCLM-Baseline keeps from, about its best tenth; good only with DCLM's own model."""

_TRAIN = """
import json, sys
import fasttext
options = json.load(sys.stdin)
path = options.pop("path")
try:
    fasttext.train_supervised(**options).save_model(path)
except RuntimeError as error:
    sys.exit(str(error))
"""

_ZEROED = {"MALLOC_PERTURB_": "255"}
"""fastText (0.9, 0.10) fills a tenth of its vectors in each of the first ten threads and leaves the other tenths as
the allocator gave them. One thread makes training repeatable, so nine tenths would be left to chance, and to
NaN. With this setting glibc gives zeroed memory, and training runs in a process of its own to have it."""

DCLM_POSITIVE = "__label__hq"
_PREFIX = "__label__"


class ClassifierSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of training; the defaults are DCLM's."""

    word_ngrams: int = 2
    """Longest word n-grams that are features (2: bigrams)."""
    learning_rate: float = 0.1
    """Step size at the start."""
    epochs: int = 5
    """Passes over the texts."""
    dimension: int = 100
    """Size of a feature's vector."""
    buckets: int = 2_000_000
    """Hash buckets for n-grams; the model's file holds (buckets + words) x dimension x 4 bytes."""
    min_count: int = 1
    """Words seen less often are no features."""
    held_out: float = 0.1
    """Share of the texts, by their hash, that only measures the model."""
    keep: float = 0.1
    """Share of the held-out negatives, which stand for the crawl, that the reported threshold keeps."""
    seed: int = 0
    """Seed of fastText."""

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1 or not 0 < self.keep <= 1:
            raise RecipeError("classifier: held_out and keep are shares between 0 and 1")


class ClassifierReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a classifier does on the held-out texts.

    positives, negatives: texts trained on; held_out_positives, held_out_negatives: texts measured on; auc: area under
    the ROC curve; threshold: score that keeps the share `keep` of the held-out negatives; kept_positives: share of the
    held-out positives at that threshold; calibration: how scores and truth agree.
    """

    positives: int
    negatives: int
    held_out_positives: int
    held_out_negatives: int
    auc: float
    threshold: float
    kept_positives: float
    calibration: list[CalibrationBin]


def one_line(text: str) -> str:
    """Return the text as fastText reads a document: one line, no NUL, no word that would be taken for a label."""
    return " ".join(text.replace("\x00", " ").replace(_PREFIX, "label").split())


def is_held_out(text: str, share: float) -> bool:
    """Say whether a text is measured on, decided by its hash, so that copies of a text stay on one side."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"), seed=1) < share * 2.0**64


def train_classifier(
    positives: Iterable[str], negatives: Iterable[str], path: str, settings: ClassifierSettings | None = None
) -> ClassifierReport:
    """Train a classifier, save it to the local `path` (.bin), and return how it does on the held-out texts.

    Same texts and settings give the same bytes: one thread, a fixed seed. Raises InputError where one kind of texts is
    missing on either side of the split.
    """
    chosen = settings or ClassifierSettings()
    measured: list[tuple[str, bool]] = []
    with tempfile.TemporaryDirectory(prefix="autoclave-fasttext-") as scratch:
        lines = Path(scratch, "lines.txt"), Path(scratch, "train.txt")
        trained = _write_shuffled(((positives, True), (negatives, False)), *lines, measured, chosen.held_out)
        if not all(trained.values()):
            raise InputError(
                f"a classifier needs both kinds of texts; there are {trained[True]} positives and {trained[False]} "
                "negatives to train on"
            )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        run_fasttext(
            str(lines[1]), path, lr=chosen.learning_rate, dim=chosen.dimension, epoch=chosen.epochs,
            wordNgrams=chosen.word_ngrams, minCount=chosen.min_count, bucket=chosen.buckets, seed=chosen.seed,
        )  # fmt: skip
    scores = QualityClassifier(path).scores(pa.array([line for line, _ in measured], pa.string()))
    return _report(scores, np.array([positive for _, positive in measured], dtype=np.bool_), trained, chosen)


def run_fasttext(text: str, path: str, **changes: float) -> None:
    """Train a supervised fastText model on the file `text` of labelled lines and save it to `path` (.bin).

    changes: of fastText's own settings, by its names. Repeatable: one thread, in a process whose memory begins zeroed.
    Raises InputError where fastText fails, as with a learning rate that is too high.
    """
    options = {"input": text, "path": path, "thread": 1, "verbose": 0, **changes}
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN], input=msgspec.json.encode(options), capture_output=True, check=False,
        env={**os.environ, **_ZEROED},
    )  # fmt: skip
    if done.returncode:
        cause = (done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise InputError(f"fastText cannot train on these texts ({cause}); try a lower learning_rate")


def _write_shuffled(
    sources: Iterable[tuple[Iterable[str], bool]],
    gathered: Path,
    shuffled: Path,
    measured: list[tuple[str, bool]],
    share: float,
) -> dict[bool, int]:
    """Write labelled lines to `shuffled`, in the order of their hashes; return how many there are of each kind.

    fastText goes through the file as it stands, and one kind after the other would make it forget the first. Held-out
    texts go to `measured`. Memory: 16 bytes a text besides those.
    """
    counts = {True: 0, False: 0}
    keys, places = array("Q"), array("Q", [0])
    with gathered.open("wb") as file:
        for texts, positive in sources:
            for line in map(one_line, texts):
                if is_held_out(line, share):
                    measured.append((line, positive))
                elif line:
                    data = f"{_PREFIX}{'hq' if positive else 'cc'} {line}\n".encode("utf-8", "replace")
                    keys.append(xxhash.xxh3_64_intdigest(data))
                    places.append(places[-1] + file.write(data))
                    counts[positive] += 1
    with gathered.open("rb") as file, shuffled.open("wb") as target:
        for row in np.argsort(np.array(keys, dtype=np.uint64), kind="stable").tolist():
            file.seek(places[row])
            target.write(file.read(places[row + 1] - places[row]))
    return counts


def _report(
    scores: np.ndarray, positive: np.ndarray, trained: dict[bool, int], settings: ClassifierSettings
) -> ClassifierReport:
    auc = roc_auc(scores, positive)
    threshold = threshold_for_share(scores[~positive], settings.keep)
    return ClassifierReport(
        positives=trained[True],
        negatives=trained[False],
        held_out_positives=int(positive.sum()),
        held_out_negatives=int((~positive).sum()),
        auc=auc,
        threshold=threshold,
        kept_positives=float(np.mean(scores[positive] >= threshold)),
        calibration=calibration_table(scores, positive),
    )


class QualityClassifier:
    """A fastText model that gives each document the probability of one label.

    path: local .bin or .ftz; positive: the label; DCLM's models call it __label__hq. Raises InputError where the file
    is no fastText model or has no such label.
    """

    def __init__(self, path: str, positive: str = DCLM_POSITIVE) -> None:
        try:
            self._model = fasttext.load_model(path)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise InputError(f"{path}: not a fastText model ({error}); give a .bin or .ftz file") from error
        labels = self._model.get_labels()
        if positive not in labels:
            raise InputError(f"{path}: no label {positive}; the model has {', '.join(labels[:5])}")
        self._positive, self._labels = positive, len(labels)

    def scores(self, text: pa.StringArray) -> np.ndarray:
        """Return the probability of the label for each document, float32 [rows]; an empty document (or null) has 0."""
        lines = [one_line(line or "") for line in text.to_pylist()]
        rows = [row for row, line in enumerate(lines) if line]
        scores = np.zeros(len(lines), dtype=np.float32)
        if rows:
            names, chances = self._model.predict([lines[row] for row in rows], k=self._labels)
            for row, labels, values in zip(rows, names, chances, strict=True):
                if self._positive in labels:
                    scores[row] = min(float(values[list(labels).index(self._positive)]), 1.0)
        return scores


def load_classifier(path: str, positive: str = DCLM_POSITIVE) -> QualityClassifier:
    """Return a classifier, loaded once a process and version of the file."""
    return _load_classifier(path, positive, local_versions(path))


@functools.lru_cache(maxsize=4)
def _load_classifier(path: str, positive: str, versions: object) -> QualityClassifier:
    return QualityClassifier(path, positive)


class ClassifierRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules of the filter `quality_classifier`."""

    model: str | None = None
    """Path of the fastText model."""
    positive: str = DCLM_POSITIVE
    """Label whose probability is the score."""
    threshold: float | None = None
    """Least score of a kept document; null only scores. Training reports one; DCLM's is 0.018112."""


def classifier_filter(rules: ClassifierRules, languages: tuple[str, ...] | None = None) -> Filter:
    """Return the filter over the signal quality_score (float32)."""

    def measure(scan: Scan, measurement: Measurement) -> Columns:
        if rules.model is None:
            raise RecipeError("filter 'quality_classifier': name a model, as in 'model: quality.bin'")
        buffers = pa.py_buffer(scan.offsets), pa.py_buffer(np.ascontiguousarray(scan.data))
        text = pa.LargeStringArray.from_buffers(len(scan), *buffers)
        return {"quality_score": load_classifier(rules.model, rules.positive).scores(text)}

    bounds = (Bound("quality_score", low=rules.threshold),)
    measured = msgspec.structs.replace(rules, threshold=None)  # the score does not depend on it
    files = (rules.model,) if rules.model else ()
    return Filter("quality_classifier", SOURCE, bounds, measure, languages=languages, rules=measured, files=files)


RULES = dict.fromkeys(DIALECTS, ClassifierRules())
"""Rules by dialect: the score is the model's, so all dialects share it."""

FILTERS = {name: classifier_filter(rules) for name, rules in RULES.items()}


def build(dialect: str, rules: dict[str, object], languages: object, where: str) -> Filter:
    """Return the filter with its rules set; RecipeError for values of a wrong type or no model."""
    try:
        chosen = msgspec.convert(rules, ClassifierRules)
        applied = None if languages == () else msgspec.convert(languages, tuple[str, ...] | None)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{where}: {with_remedy(error)}") from error
    if chosen.model is None:
        raise RecipeError(f"{where}.model: name a model, as in 'model: quality.bin'")
    return classifier_filter(chosen, applied)
