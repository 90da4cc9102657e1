"""The Ray engine gives the bytes of the local one; a real cluster takes a stage by `ray job submit`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from small_run import SmallRun, autoclave, contents, differences

pytest.importorskip("ray", reason="Ray is not installed: pip install 'autoclave[ray]'")


TWO_WORKERS = ["--set", "train.workers=2"]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_ray_gives_the_same_bytes_as_local(finished: SmallRun, tmp_path: Path) -> None:
    autoclave("run", finished.recipe, "--run-dir", tmp_path / "run", "--engine", "ray", "--workers", "2")
    assert differences(contents(finished.run), contents(tmp_path / "run")) == []


@pytest.mark.slow
def test_the_train_stage_on_two_workers_gives_the_bytes_of_torchrun(finished: SmallRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run, ignore=shutil.ignore_patterns("06-train"))
    done = autoclave("run", finished.recipe, "--run-dir", run, "--engine", "ray", "--workers", "2", *TWO_WORKERS)
    assert "train: loss" in done.stderr
    assert len(list((run / "06-train/checkpoints/step-00000009").glob("model-*-of-00002.safetensors"))) == 2
    settings = yaml.safe_load((run / "recipe.yaml").read_text())["stages"]["train"]
    assert settings["workers"] == 2
    (tmp_path / "train.yaml").write_text(
        yaml.safe_dump({"shards": str(run / "05-tokenize"), "seed": 5, "train": settings})
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "autoclave", "train", str(tmp_path / "train.yaml"), "--out", str(tmp_path / "torchrun")]
    other = subprocess.run([*torchrun, *train], capture_output=True, text=True, timeout=280)
    assert other.returncode == 0, other.stderr
    assert differences(contents(run / "06-train"), contents(tmp_path / "torchrun")) == []


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray cluster of one node on loopback, with its dashboard, as `ray start --head` makes it."""
    gcs, dashboard = free_port(), free_port()
    scratch = Path("/tmp") / f"autoclave-ray-{os.getpid()}"  # Ray's sockets need a short path
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    ray = Path(sys.executable).with_name("ray")
    process = subprocess.Popen(
        [
            str(ray),
            "start",
            "--head",
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--port={gcs}",
            "--include-dashboard=true",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={dashboard}",
            "--num-cpus=2",
            "--object-store-memory=200000000",
            f"--temp-dir={scratch}",
            "--disable-usage-stats",
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard}"
    try:
        for _ in range(120):
            listed = subprocess.run([str(ray), "job", "list"], env=environment, capture_output=True)
            if listed.returncode == 0:
                break
            assert process.poll() is None, "ray start ended early"
            time.sleep(0.5)
        yield environment
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
        shutil.rmtree(scratch, ignore_errors=True)


def test_a_stage_by_ray_job_submit(
    finished: SmallRun, tmp_path: Path, cluster: dict[str, str], repository: Path
) -> None:
    """The stage clean of a run whose extract stage was done locally, as a job on the cluster."""
    run = tmp_path / "run"
    autoclave("run", finished.recipe, "--run-dir", run, "--stages", "extract", "--workers", "2")
    ray = Path(sys.executable).with_name("ray")
    submitted = subprocess.run(
        [
            str(ray),
            "job",
            "submit",
            "--working-dir",
            str(repository / "recipes"),
            "--",
            sys.executable,
            "-m",
            "autoclave.pipelines.clean",
            "--recipe",
            str(finished.recipe),
            "--run-dir",
            str(run),
        ],
        env=cluster,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "succeeded" in submitted.stdout
    ours, theirs = contents(finished.run), contents(run)
    clean = {name for name in ours if name.startswith("02-clean/")}
    assert clean
    assert {name: theirs.get(name) for name in clean} == {name: ours[name] for name in clean}
    summary = json.loads((run / "summary.json").read_text())
    assert [row["label"] for row in summary["stages"] if row["documents_in"]] == ["extract", "clean"]
