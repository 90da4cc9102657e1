"""The clean stage: what edits leave empty is dropped by name, and memory goes by bytes, in refilter as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.cleaning.chain import CleanSettings
from autoclave.corpus import batches
from autoclave.corpus.checksums import hash_file
from autoclave.corpus.commits import read_commits, write_commit
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError
from autoclave.pipelines.clean import run_clean, written_bytes
from autoclave.pipelines.reading.refilter import refilter
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.stage import StageContext, document_shards

TEXTS = ["A text.", "", " \n\u3000\t", "https://x.example/path", "two words", "short"]


def write_source(folder: Path, texts: list[str]) -> None:
    with ShardOutput(Folder(folder), "source", "000000") as output:
        for start in range(0, len(texts), 64):
            part = texts[start : start + 64]
            batch = make_documents(part, "source", offset=range(start, start + len(part)))
            output.write(batch, Verdicts.keep_all(len(part)))
        output.commit("source", [])


def clean(folder: Path, source: Path, **settings: Any) -> None:
    chosen = CleanSettings(**{"language": None, "transforms": ["strip_urls"], "filters": [], **settings})
    inputs = document_shards(Folder(source))
    run_clean(StageContext("clean", Folder(folder), chosen, 0, InProcessEngine(), inputs=inputs))


def read(folder: Path, kind: str) -> list[dict[str, Any]]:
    return pq.read_table(folder / kind / "000000.parquet").to_pylist()


def test_what_edits_leave_empty_is_dropped_by_name(tmp_path: Path) -> None:
    write_source(tmp_path / "source", TEXTS)
    clean(tmp_path / "clean", tmp_path / "source")
    assert [row["text"] for row in read(tmp_path / "clean", "documents")] == ["A text.", "two words", "short"]
    ledger = read(tmp_path / "clean", "ledger")
    empty = [None, "empty", "empty", "empty", None, None]
    assert [row["filter"] for row in ledger] == empty
    assert [row["reason"] for row in ledger] == [None if name is None else "text_bytes" for name in empty]
    assert [row["text_bytes"] for row in ledger] == [7, 0, 0, 0, 9, 5]
    (commit,) = read_commits(Folder(tmp_path / "clean"))
    assert commit.dropped_by == {"empty": {"text_bytes": 3}}
    assert (commit.kept, commit.dropped) == (3, 3)


def test_empty_goes_before_other_reasons_and_stays_in_refilter(tmp_path: Path) -> None:
    write_source(tmp_path / "source", TEXTS)
    chain = {"filters": ["gopher_quality"], "thresholds": {"word_count": [2, None]}}
    clean(tmp_path / "clean", tmp_path / "source", **chain)
    assert [row["filter"] for row in read(tmp_path / "clean", "ledger")][1:4] == ["empty"] * 3
    report = refilter(str(tmp_path / "clean"), ["filters=[]", "thresholds={}"])
    assert (report.documents, report.kept_after) == (6, 3)
    assert report.reasons_after == {"empty: text_bytes": 3}
    old = pq.read_table(tmp_path / "clean/ledger/000000.parquet").drop_columns(["text_bytes"])
    pq.write_table(old, tmp_path / "clean/ledger/000000.parquet")
    folder = Folder(tmp_path / "clean")
    (commit,) = read_commits(folder)
    files = {"ledger/000000.parquet": hash_file(folder.path("ledger/000000.parquet"))}
    write_commit(folder, msgspec.structs.replace(commit, outputs=commit.outputs | files))
    with pytest.raises(InputError, match="run the stage again"):
        refilter(str(tmp_path / "clean"), ["filters=[]", "thresholds={}"])


def test_written_bytes() -> None:
    texts = pa.array(["", " ", "\n\n", "a ", "\u4e2d", "\u00a0\u3000"])
    assert written_bytes(texts).to_pylist() == [0, 0, 0, 2, 3, 0]
    assert written_bytes(pa.array([], pa.string())).to_pylist() == []


def test_refilter_writes_every_document_in_batches_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{number} " + "word " * (number % 90) for number in range(500)]
    write_source(tmp_path / "source", texts)
    limits = {"filters": ["gopher_quality"], "transforms": []}
    clean(tmp_path / "first", tmp_path / "source", **limits, min_words=30)
    clean(tmp_path / "fresh", tmp_path / "source", **limits, min_words=60)
    written: list[int] = []
    write = ShardOutput.write

    def recorded(self: ShardOutput, batch: pa.RecordBatch, verdicts: Verdicts, **options: Any) -> None:
        written.append(batch.num_rows)
        write(self, batch, verdicts, **options)

    monkeypatch.setattr(ShardOutput, "write", recorded)
    monkeypatch.setattr(batches, "BATCH_BYTES", 4000)
    refilter(str(tmp_path / "first"), ["min_words=60"], out=str(tmp_path / "again"), engine=InProcessEngine())
    assert len(written) > 20
    assert sum(written) == 500
    for kind in ("documents", "ledger", "dropped"):
        assert read(tmp_path / "again", kind) == read(tmp_path / "fresh", kind), kind


@pytest.mark.slow
def test_refilter_of_more_text_than_offsets_reach(tmp_path: Path) -> None:
    """2,040 documents of one batch of the ledger are 2.2 GB: more than a column of strings holds."""
    write_source(tmp_path / "source", [f"{number} " + "word " * 220_000 for number in range(2040)])
    clean(tmp_path / "first", tmp_path / "source", transforms=[])
    refilter(str(tmp_path / "first"), ["filters=[]"], out=str(tmp_path / "again"), engine=InProcessEngine())
    for kind in ("documents", "ledger"):
        assert pq.read_metadata(tmp_path / "again" / kind / "000000.parquet").num_rows == 2040
    sizes = pq.read_table(tmp_path / "again/ledger/000000.parquet", columns=["text_bytes"])
    assert sizes.column(0).to_numpy().sum() > 1 << 31


WORKER = """
import sys
from autoclave.cleaning.chain import CleanSettings
from autoclave.corpus.storage import Folder
from autoclave.pipelines.clean import run_clean
from autoclave.pipelines.extract import ExtractSettings, run_extract
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.stage import StageContext, document_shards

stage, source, out = sys.argv[1:]
if stage == "extract":
    context = StageContext("extract", Folder(out), ExtractSettings(), 0, InProcessEngine(), sources=[source])
    run_extract(context)
else:
    inputs = document_shards(Folder(source))
    context = StageContext("clean", Folder(out), CleanSettings(), 0, InProcessEngine(), inputs=inputs)
    run_clean(context)
assert [commit.documents_in for commit in context.commits] == [400]
status = open("/proc/self/status").read()  # ru_maxrss would begin with that of the process which started this one
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


@pytest.mark.slow
def test_memory_goes_by_bytes_not_by_row_groups(tmp_path: Path) -> None:
    """A row group of 400 documents of 1 MB costs a few batches of 32 MB in either stage (it took 2.3 GB)."""
    texts = pa.array([f"{number} " + f"word{number % 7} and another " * 60_000 for number in range(400)])
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"text": texts}), source, row_group_size=400, write_batch_size=1)
    assert pq.read_metadata(source).row_group(0).total_byte_size > 400 << 20
    for stage, folder in (("extract", source), ("clean", tmp_path / "extract")):
        command = [sys.executable, "-c", WORKER, stage, str(folder), str(tmp_path / stage)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        print(f"{stage}: peak {float(done.stdout):.0f} MB")
        assert float(done.stdout) < 900
