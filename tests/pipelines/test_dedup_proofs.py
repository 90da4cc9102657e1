"""Slow proofs about the dedup stage: killed at any moment, and on Ray, the bytes are the same."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys
from autoclave.cleaning.dedup.lines import LineSettings
from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.corpus.storage import Folder
from autoclave.pipelines.dedup import run_dedup
from autoclave.pipelines.dedup_settings import DedupSettings
from autoclave.pipelines.engine import make_engine
from autoclave.pipelines.stage import StageContext, parquet_shards

engine_name, out, *paths = sys.argv[1:]
settings = DedupSettings(
    partitions=3, members_per_partition=200, lines=LineSettings(scope="all"), write_index=True,
    substring=SubstringSettings(min_tokens=30),
)
if __name__ == "__main__":
    engine = make_engine(engine_name, 2)
    folder = Folder(out)
    folder.remove_partials()
    run_dedup(StageContext("dedup", folder, settings, 0, engine, inputs=list(parquet_shards(paths))))
    engine.close()
"""


def write_inputs(folder: Path) -> list[str]:
    """Write six shards with copies of one another's texts and lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from autoclave.corpus.schema import DOCUMENT_SCHEMA, make_doc_id

    rng = np.random.default_rng(2)
    words = np.array([f"word{i}" for i in range(500)], object)
    texts: list[str] = []
    for i in range(1800):
        text = " ".join(words[rng.integers(0, 500, int(rng.integers(60, 200)))]) + "\nshared line\n"
        if i > 50 and rng.random() < 0.4:
            text = texts[int(rng.integers(0, i))].replace("word7 ", "other ")
        texts.append(text)
    paths = []
    for shard in range(6):
        part = texts[300 * shard : 300 * shard + 300]
        columns = {
            "doc_id": pa.array([make_doc_id(str(shard), i) for i in range(300)], pa.binary(16)),
            "text": pa.array(part, pa.string()),
            "source": pa.array([str(shard)] * 300, pa.string()),
            "offset": pa.array(range(300), pa.int64()),
        }
        arrays = [columns.get(field.name, pa.nulls(300, field.type)) for field in DOCUMENT_SCHEMA]
        paths.append(str(folder / f"{shard}.parquet"))
        pq.write_table(pa.Table.from_arrays(arrays, schema=DOCUMENT_SCHEMA), paths[-1])
    return paths


def outputs(out: Path) -> dict[str, str]:
    kinds = ("documents", "ledger", "dropped", "phases/index/bands", "phases/index/exact", "phases/index/signatures")
    return {
        f"{kind}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in kinds
        for path in sorted((out / kind).iterdir())
    }


def command(tmp_path: Path, engine: str, out: Path, paths: list[str]) -> list[str]:
    script = tmp_path / "run_dedup_stage.py"
    script.write_text(SCRIPT)
    return [sys.executable, str(script), engine, str(out), *paths]


@pytest.mark.slow
def test_killed_at_ten_moments_the_result_is_the_same(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path)
    subprocess.run(command(tmp_path, "local", tmp_path / "warm", paths), check=True)  # compiles the kernels
    started = time.monotonic()
    subprocess.run(command(tmp_path, "local", tmp_path / "whole", paths), check=True)
    usual = time.monotonic() - started
    expected = outputs(tmp_path / "whole")
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    killed = 0
    for _ in range(10):
        process = subprocess.Popen(
            command(tmp_path, "local", tmp_path / "killed", paths), start_new_session=True, stderr=subprocess.DEVNULL
        )
        time.sleep(float(rng.uniform(0.4, 1.0)) * usual)
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
        elif killed < 5:  # done before enough kills: once more from the start
            shutil.rmtree(tmp_path / "killed")
        process.wait()
    subprocess.run(command(tmp_path, "local", tmp_path / "killed", paths), check=True)
    assert killed > 0
    assert outputs(tmp_path / "killed") == expected


@pytest.mark.slow
def test_ray_gives_the_same_bytes_as_the_local_engine(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    paths = write_inputs(tmp_path)
    subprocess.run(command(tmp_path, "local", tmp_path / "local", paths), check=True)
    subprocess.run(command(tmp_path, "ray", tmp_path / "ray", paths), check=True, stdout=subprocess.DEVNULL)
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "local")
