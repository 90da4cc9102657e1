"""Slow proofs about the dedup stage: killed at any moment, and on Ray, the bytes are the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = """
import json
import sys
from autoclave.cleaning.dedup.lines import LineSettings
from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.corpus.storage import Folder
from autoclave.pipelines.dedup.stage import run_dedup
from autoclave.pipelines.dedup.settings import DedupSettings
from autoclave.pipelines.running.engine import make_engine
from autoclave.pipelines.running.stage import StageContext, parquet_shards

engine_name, out, changes, *paths = sys.argv[1:]
usual = dict(
    partitions=3, members_per_partition=200, lines=LineSettings(scope="all"), write_index=True,
    substring=SubstringSettings(min_tokens=30),
)
settings = DedupSettings(**(usual | json.loads(changes)))
if __name__ == "__main__":
    engine = make_engine(engine_name, 2)
    folder = Folder(out)
    folder.remove_partials()
    run_dedup(StageContext("dedup", folder, settings, 0, engine, inputs=list(parquet_shards(paths))))
    engine.close()
"""


def write_inputs(folder: Path) -> list[str]:
    """Write six shards with copies of one another's texts and lines."""
    rng = np.random.default_rng(2)
    words = np.array([f"word{i}" for i in range(500)], object)
    texts: list[str] = []
    for i in range(1800):
        text = " ".join(words[rng.integers(0, 500, int(rng.integers(60, 200)))]) + "\nshared line\n"
        if i > 50 and rng.random() < 0.4:
            text = texts[int(rng.integers(0, i))].replace("word7 ", "other ")
        texts.append(text)
    return write_shards(folder, texts, 6)


def write_many_inputs(folder: Path) -> list[str]:
    """Write four shards of 30,000 texts of 45 words, half of them copies: more than 1 MB holds the labels of."""
    rng = np.random.default_rng(3)
    words = np.array([f"word{i}" for i in range(2000)], object)
    texts: list[str] = []
    for i in range(30_000):
        text = " ".join(words[rng.integers(0, 2000, 45)])
        if i > 50 and rng.random() < 0.5:
            text = texts[int(rng.integers(0, i))]
            text = text if rng.random() < 0.5 else text.replace(text.split()[int(rng.integers(45))], "other", 1)
        texts.append(text)
    return write_shards(folder, texts, 4)


def write_shards(folder: Path, texts: list[str], shards: int) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from autoclave.corpus.schema import make_documents

    paths = []
    count = len(texts) // shards
    for shard in range(shards):
        batch = make_documents(texts[count * shard : count * (shard + 1)], str(shard))
        paths.append(str(folder / f"{shard}.parquet"))
        pq.write_table(pa.Table.from_batches([batch]), paths[-1])
    return paths


STAGE = ("documents", "ledger", "dropped")
INDEX = ("phases/index/bands", "phases/index/exact", "phases/index/signatures")


def outputs(out: Path, kinds: tuple[str, ...] = STAGE + INDEX) -> dict[str, str]:
    return {
        f"{kind}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in kinds
        for path in sorted((out / kind).iterdir())
    }


def command(tmp_path: Path, engine: str, out: Path, paths: list[str], **changes: Any) -> list[str]:
    script = tmp_path / "run_dedup_stage.py"
    script.write_text(SCRIPT)
    return [sys.executable, str(script), engine, str(out), json.dumps(changes), *paths]


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


def wait_for(process: subprocess.Popen[bytes], scratch: Path, spool: str, log: Path) -> None:
    """Wait until the components by files have come to write a spool."""
    for _ in range(60_000):
        if any(scratch.glob(f"autoclave-dedup-*/{spool}")):
            return
        assert process.poll() is None, f"the process ended before it wrote {spool}: {log.read_text()[-2000:]}"
        time.sleep(0.001)
    raise AssertionError(f"{spool} was never written")


@pytest.mark.slow
def test_killed_at_every_step_of_the_components_by_files_the_result_is_the_same(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = write_many_inputs(tmp_path)
    small: dict[str, Any] = {"lines": None, "substring": None, "write_index": False, "component_cap": 4}
    in_memory = command(tmp_path, "local", tmp_path / "memory", paths, **small)
    subprocess.run(in_memory, check=True)
    expected = outputs(tmp_path / "memory", STAGE)
    by_files = command(tmp_path, "local", tmp_path / "killed", paths, **small, memory_budget_mb=1)
    scratch = tmp_path_factory.mktemp("s")  # short: sockets of processes lie there, whose paths end at 108 bytes
    environment = os.environ | {"TMPDIR": str(scratch)}
    phases = tmp_path / "killed/phases"
    for spool in ("leaders", "resolved", "components/requests", "components/answers", "stars", "counts", "by_shard"):
        with (tmp_path / "stderr").open("w") as log:
            process = subprocess.Popen(by_files, start_new_session=True, stderr=log, env=environment)
        wait_for(process, scratch, spool, tmp_path / "stderr")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert any((phases / "candidates/commits").iterdir())
        assert not any((phases / "clusters").glob("commits/*")), f"killed at {spool}: it was done already"
    subprocess.run(by_files, check=True, env=environment)
    assert outputs(tmp_path / "killed", STAGE) == expected
    counts = json.loads(next((phases / "clusters/commits").iterdir()).read_bytes())["counts"]
    assert counts["components_cut"] > 0
    assert list(scratch.glob("autoclave-dedup-*")) == []  # not even what the killed ones left


@pytest.mark.slow
def test_ray_gives_the_same_bytes_as_the_local_engine(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    paths = write_inputs(tmp_path)
    subprocess.run(command(tmp_path, "local", tmp_path / "local", paths), check=True)
    subprocess.run(command(tmp_path, "ray", tmp_path / "ray", paths), check=True, stdout=subprocess.DEVNULL)
    assert outputs(tmp_path / "ray") == outputs(tmp_path / "local")
