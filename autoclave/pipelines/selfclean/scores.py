"""One pass over a shard for the table of scores: model scores by fold, signals of the text, where it comes from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from autoclave.cleaning.selfclean.table import POOLED_SIZE, SCORE_SCHEMA, TEXT_SIGNALS
from autoclave.cleaning.selfclean.text_signals import text_signals
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import open_read
from autoclave.errors import ShardError
from autoclave.pipelines.running.stage import ShardTask
from autoclave.pipelines.selfclean.models import EARLY, open_scorer
from autoclave.pipelines.selfclean.settings import ScoreSettings
from autoclave.tokenize.shards import TokenShard

if TYPE_CHECKING:
    from autoclave.model.inference.scoring import Scorer

SCORE_BATCH = 1024
"""Documents handed to the scorer at a time."""

PROJECTION_SEED = 0


@dataclass(frozen=True)
class Scorers:
    """The models of one fold: its own, the same early in its training, that of trusted text; the last two if asked."""

    own: Scorer
    early: Scorer | None = None
    trusted: Scorer | None = None


def score_shard(task: ShardTask, output: ShardOutput) -> None:
    """Write the table of scores of one shard (SCORE_SCHEMA), a row a document, in their order.

    inputs: documents, folds, one token file a fold, one model a fold, and the model of trusted text if there is one;
    arguments: models, checksums of the models in that order; early, whether they have early ones.
    """
    settings: ScoreSettings = task.settings
    model, count = settings.model, int(task.arguments["folds"])
    folds = read_folds(task.inputs[1])
    files, models = task.inputs[2 : 2 + count], task.inputs[2 + count :]
    checksums = task.arguments["models"]

    def opened(place: int, name: str = "") -> Scorer:
        return open_scorer(f"{models[place]}{name}", checksums[place], model.device, model.threads)

    columns = _Columns(len(folds))
    trusted = opened(count) if len(models) > count else None
    for fold, path in enumerate(files):
        early = opened(fold, f"/{EARLY}") if task.arguments["early"] else None
        _score_fold(path, np.flatnonzero(folds == fold), Scorers(opened(fold), early, trusted), columns)
    tokens = 0
    with output.open(f"scores/{task.shard}.parquet") as file:
        writer = pq.ParquetWriter(file, SCORE_SCHEMA, compression="zstd", write_page_checksum=True)
        for batch in columns.batches(task.inputs[0], folds):
            writer.write_batch(batch)
            tokens += pc.sum(batch.column("tokens")).as_py() or 0
        writer.close()
    output.count("documents", len(folds))
    output.count("tokens", tokens)


def read_folds(path: str) -> np.ndarray:
    """Return what `fold_tokens` wrote: the fold of each document, int8 [documents], negative where it is gone."""
    with open_read(path) as source, pa.ipc.open_file(source) as arrow:
        return arrow.read_all().column("fold").to_numpy()


class _Columns:
    """Model scores of a shard, filled in fold by fold: NaN where there is none."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.values: dict[str, np.ndarray] = {}
        self.ids: list[bytes | None] = [None] * rows
        self.pooled = np.full((rows, POOLED_SIZE), np.nan, dtype=np.float32)

    def put(self, name: str, places: np.ndarray, values: np.ndarray) -> None:
        """Set a column at some places."""
        self.values.setdefault(name, np.full(self.rows, np.nan))[places] = values

    def batches(self, documents: str, folds: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Yield the table, with what is known of the documents without a model."""
        start = 0
        for batch in read_documents(documents, ["text", "language", "source", "host"]):
            rows = slice(start, start + batch.num_rows)
            start += batch.num_rows
            languages = pc.fill_null(batch.column("language"), "")
            text = text_signals(batch.column("text"), languages.to_pylist())
            known: dict[str, pa.Array] = {
                "doc_id": pa.array(self.ids[rows], pa.binary(16)),
                "fold": pa.array(folds[rows], pa.int8()),
                "bytes": pc.binary_length(batch.column("text")).cast(pa.int64()),
                "pooled_hidden": _lists(self.pooled[rows]),
                "language": languages,
                "source": batch.column("source"),
                "host": batch.column("host"),
                **{name: text[name] for name in TEXT_SIGNALS},
            }
            yield pa.RecordBatch.from_arrays(
                [known[field.name] if field.name in known else self._column(field, rows) for field in SCORE_SCHEMA],
                schema=SCORE_SCHEMA,
            )
        if start != self.rows:
            raise ShardError(f"{documents}: {start} documents, but {self.rows} were put in folds")

    def _column(self, field: pa.Field, rows: slice) -> pa.Array:
        if field.name not in self.values:
            return pa.nulls(rows.stop - rows.start, field.type)
        return pa.array(self.values[field.name][rows], pa.float64(), from_pandas=True).cast(field.type)


def _lists(values: np.ndarray) -> pa.Array:
    """Return rows as fixed-size lists, null where a document has no score."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(np.nan_to_num(values).ravel()), POOLED_SIZE)
    return pc.if_else(pa.array(~np.isnan(values[:, 0])), flat, pa.scalar(None, flat.type)) if len(values) else flat


def _score_fold(file: str, places: np.ndarray, scorers: Scorers, columns: _Columns) -> None:
    """Score the documents of one fold's token file and put the results in their documents' places."""
    start = 0
    projection = _projection(scorers.own.config.hidden_size)
    for batch in TokenShard(file).batches():
        for part in (batch.slice(at, SCORE_BATCH) for at in range(0, batch.num_rows, SCORE_BATCH)):
            here = places[start : start + part.num_rows]
            start += part.num_rows
            for place, doc_id in zip(here, part.column("doc_id").to_pylist(), strict=True):
                columns.ids[place] = doc_id
            _score_part(part, here, scorers, projection, columns)
    if start != len(places):
        raise ShardError(
            f"{file}: {start} documents, but {len(places)} were put in its fold; remove the stage's folder"
        )


def _score_part(
    part: pa.RecordBatch, here: np.ndarray, scorers: Scorers, projection: np.ndarray, columns: _Columns
) -> None:
    from autoclave.model.inference.surprise import surprise_features

    texts, sizes = token_lists(part), part.column("bytes").to_numpy()
    found = scorers.own.score_tokens(texts, sizes, pool=True)
    assert found.pooled is not None
    columns.pooled[here] = project(found.pooled, projection)
    for name, values in (("nll", found.nll), ("tokens", found.tokens), ("bits_per_byte", found.bits_per_byte)):
        columns.put(name, here, values)
    for name, values in surprise_features(found.losses).items():
        columns.put(name, here, values)
    for name, scorer in (("early_minus_late", scorers.early), ("trusted_difference", scorers.trusted)):
        if scorer is not None:
            columns.put(name, here, scorer.score(texts, sizes).bits_per_byte - found.bits_per_byte)


def token_lists(part: pa.RecordBatch) -> Sequence[np.ndarray]:
    """Return the token ids of each row of a token shard's batch: uint16 or uint32 [tokens] each."""
    tokens = part.column("tokens")
    values, offsets = tokens.flatten().to_numpy(), tokens.offsets.to_numpy()
    offsets = offsets - offsets[0]
    return [values[start:stop] for start, stop in itertools.pairwise(offsets)]


def project(pooled: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Return float32 [n, POOLED_SIZE]: row by row, so that a row does not depend on its neighbours."""
    return np.stack([row.astype(np.float64) @ projection for row in pooled]).astype(np.float32)


def _projection(width: int) -> np.ndarray:
    """A random projection, float64 [width, POOLED_SIZE], which keeps distances (Johnson and Lindenstrauss 1984)."""
    draw = np.random.default_rng(PROJECTION_SEED)
    found: np.ndarray = draw.normal(size=(width, POOLED_SIZE)) / np.sqrt(POOLED_SIZE)
    return found
