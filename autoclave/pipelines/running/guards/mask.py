"""Leaving out documents of a shard: to find the one at fault, and to do the shard without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import DOCUMENT_SCHEMA, read_documents
from autoclave.corpus.storage import Folder

Masking = Literal["rows", "aligned", "own"]
"""How a task's documents can be left out: rows of its first input go; they stay, with another text, since other inputs
have a row for each; or the task's function sees to it (extract, whose inputs are raw files)."""

UNITS = "units"
"""Counter by which a task with a mask of its own says how many units it has."""


@dataclass(frozen=True)
class Mask:
    """Which units (documents, or records or files of raw input, by their place) a task leaves out.

    refused: unit -> cause; each becomes an error of the shard. only: do those from start to stop alone (a probe).
    """

    refused: tuple[tuple[int, str], ...] = ()
    only: tuple[int, int] | None = None

    def takes(self, start: int, count: int) -> np.ndarray:
        """Return which of `count` units from `start` on are done: bool [count]."""
        units = np.arange(start, start + count)
        taken = np.ones(count, dtype=np.bool_)
        if self.only is not None:
            taken = (units >= self.only[0]) & (units < self.only[1])
        return taken & ~np.isin(units, [unit for unit, _ in self.refused])

    def causes(self, start: int, count: int) -> dict[int, str]:
        """Return the causes of the refused units among `count` from `start` on, by their place from `start`."""
        return {unit - start: cause for unit, cause in self.refused if start <= unit < start + count}


def mask_documents(task: Any, folder: Folder, output: ShardOutput) -> Any:
    """Return the task with its first input replaced by a copy in `folder` in which the masked documents are left out.

    Says to `output` how many documents are expected and which are errors. A document that has to keep its row gets its
    own doc_id as text: harmless, and no duplicate of another's.
    """
    mask: Mask = task.mask
    name = "masked.parquet"
    start = taken = 0
    with folder.open_write(name) as file, pq.ParquetWriter(file, DOCUMENT_SCHEMA, compression="zstd") as writer:
        for batch in read_documents(task.inputs[0]):
            keep = mask.takes(start, batch.num_rows)
            ids = batch.column("doc_id").to_pylist()
            for row, cause in mask.causes(start, batch.num_rows).items():
                place = f"{batch.column('source')[row].as_py()}:{batch.column('offset')[row].as_py()}"
                if task.masking == "rows":
                    output.error(place, cause)
                else:
                    output.refuse(ids[row], place, cause)
            writer.write_batch(batch.filter(pa.array(keep)) if task.masking == "rows" else _blank(batch, keep))
            start += batch.num_rows
            taken += int(keep.sum())
    if task.expected_documents is not None:
        rows = taken + len(mask.refused) if task.masking == "rows" else start
        output.expect(rows)
    return replace(task, inputs=(folder.path(name), *task.inputs[1:]), expected_documents=None)


def _blank(batch: pa.RecordBatch, keep: np.ndarray) -> pa.RecordBatch:
    texts = [
        text if kept else doc_id.hex()
        for text, kept, doc_id in zip(
            batch.column("text").to_pylist(), keep, batch.column("doc_id").to_pylist(), strict=True
        )
    ]
    place = batch.schema.get_field_index("text")
    return batch.set_column(place, batch.schema.field(place), pa.array(texts, pa.string()))
