"""Faults of the machine are no faults of the data: one line with path and remedy, nothing quarantined, resumable."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from faulty import keep, stage

from autoclave.corpus import storage
from autoclave.corpus.machine import machine_error
from autoclave.corpus.storage import Folder
from autoclave.errors import MachineError
from autoclave.pipelines.running.engine import InProcessEngine, LocalEngine

TEXT = "The people of the town went to see what they could have, and it was the best of times that they had. "


def write_input(path: Path, documents: int = 400) -> Path:
    """A JSONL of texts that do not compress to nothing."""
    lines = [{"text": f"{TEXT}{uuid.uuid5(uuid.NAMESPACE_URL, str(n))} " * 8} for n in range(documents)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space is left on the disk; free some space"),
        (errno.EDQUOT, "the disk quota is used up; free some space"),
        (errno.EROFS, "the file system is read-only; choose another folder"),
        (errno.EACCES, "permission denied; give this user the right"),
        (errno.EIO, "Input/output error of the device; check the disk"),
        (errno.EMFILE, "too many open files; raise the limit"),
        (errno.ECONNREFUSED, "no answer (ConnectionRefusedError"),
    ],
)
def test_what_the_machine_raises_names_path_and_remedy(number: int, words: str) -> None:
    fault = machine_error(OSError(number, os.strerror(number), "/disk/file"))
    assert fault is not None
    assert str(fault).startswith(f"/disk/file: {words}")
    assert str(fault).endswith("then run the same command again")
    assert "\n" not in str(fault)
    assert fault.passing == (number == errno.ECONNREFUSED)


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError("bad thrift"), FileNotFoundError(2, "gone", "a"), KeyError(1)]
)
def test_what_the_data_or_a_filter_raises_is_not_the_machines(error: Exception) -> None:
    assert machine_error(error) is None


def test_errors_of_stores() -> None:
    botocore = pytest.importorskip(
        "botocore.exceptions", reason="botocore is not installed: pip install 'autoclave[s3]'"
    )
    down = machine_error(botocore.EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "s3://bucket/a")
    assert down is not None
    assert str(down).startswith("s3://bucket/a: the store does not answer (EndpointConnectionError: Could not connect")
    assert down.passing
    for refused in (
        botocore.NoCredentialsError(),
        botocore.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject"),
    ):
        fault = machine_error(refused, "s3://bucket/a")
        assert fault is not None
        assert "check the credentials" in str(fault)
        assert not fault.passing
    assert "check the credentials" in str(machine_error(PermissionError("Access Denied"), "s3://bucket/a"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("word", "words"), [("FULL", "/big/disk/x.parquet: no space is left"), ("DOWN", "no answer")])
def test_a_machine_fault_in_a_shard_stops_the_run_and_quarantines_nothing(
    tmp_path: Path, workers: int, word: str, words: str
) -> None:
    engine = LocalEngine(workers) if workers else InProcessEngine()
    context = stage(tmp_path, [["a"], [word, "b"], ["c"]], engine)
    try:
        with pytest.raises(MachineError, match=words):
            context.map_shards(keep, context.document_tasks())
    finally:
        engine.close()
    for name in ("quarantine", "bisection", "errors/000001.jsonl", "commits/000001.json"):
        assert not (tmp_path / "faulty" / name).exists()


def test_a_store_that_answers_again_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import faulty

    calls: list[str] = []

    def happen(text: str) -> None:
        calls.append(text)
        if len(calls) < 3:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(faulty, "happen", happen)
    context = stage(tmp_path, [["a"]], InProcessEngine())
    (commit,) = context.map_shards(keep, context.document_tasks())
    assert (commit.kept, calls) == (1, ["a", "a", "a"])


def limited(bytes_: int) -> Any:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_disk_that_takes_no_more_and_then_does(tmp_path: Path, workers: str) -> None:
    """A limit on the size of files stands in for a full disk: the write fails, in the driver and in workers."""
    source = write_input(tmp_path / "in.jsonl")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "autoclave", "extract", str(source), "--out", str(out), "--workers", workers]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited(9_000), timeout=200)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert str(out) in line
    assert "raise the limit (ulimit -f), then run the same command again" in line
    assert not (out / "quarantine").exists()
    assert not list(out.rglob("*.partial*"))
    assert not list(out.rglob("commits/*.json"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> str:
    """Any file named `denied.jsonl` may not be opened (root may open everything, so that modes prove nothing)."""
    real = open

    def refuse(path: Any, *arguments: Any, **named: Any) -> Any:
        if str(path).endswith("denied.jsonl"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(storage, "open", refuse, raising=False)
    return "denied.jsonl"


def test_an_input_that_may_not_be_read(
    tmp_path: Path, denied: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_input(tmp_path / denied, 3)
    command = ["extract", source, "--out", tmp_path / "out", "--workers", "0"]
    ended = run(capsys, monkeypatch, *command)
    assert ended.code == 1
    assert f"error: {source}: permission denied; give this user the right" in ended.errors
    assert "Traceback" not in ended.errors
    ended = run(capsys, monkeypatch, *command, "--debug")
    assert ended.code == 1
    assert "Traceback" in ended.errors
    assert f"error: {source}: permission denied" in ended.errors
    assert not (tmp_path / "out/quarantine").exists()


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "the file system is read-only"), (errno.EACCES, "permission denied")]
)
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    source = write_input(tmp_path / "in.jsonl", 3)

    def refuse(path: str, *arguments: Any, **named: Any) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "makedirs", refuse)
    ended = run(capsys, monkeypatch, "extract", source, "--out", tmp_path / "out", "--workers", "0")
    assert ended.code == 1
    assert f"error: {tmp_path / 'out'}: {words}" in ended.errors
    assert "Traceback" not in ended.errors


def test_an_out_that_is_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_input(tmp_path / "in.jsonl", 3)
    ended = run(capsys, monkeypatch, "extract", source, "--out", source, "--workers", "0")
    assert ended.code == 1
    assert f"error: {source}: is there already, and is not a folder" in ended.errors
    assert "Traceback" not in ended.errors


def test_a_store_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(f"memory://{uuid.uuid4().hex}/stage")

    def refuse(*arguments: Any, **named: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(folder.fs), "put_file", refuse)
    with pytest.raises(MachineError, match=r"^memory://\w+/stage/a\.json: permission denied .* check the credentials"):
        folder.write_bytes("a.json", b"{}")


HANGS = """
import os, time
import numpy as np
from autoclave.cleaning.filters.base import Bound, Filter

def measure(scan, measurement):
    with open({fifo!r}, "w") as file:
        file.write(str(os.getpid()))
    while True:
        time.sleep(60)

HANG = Filter("hang", "a test", (Bound("nothing_count", high=5),), measure=measure)
"""


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_an_interrupt_of_the_driver_alone_ends_at_once(tmp_path: Path, engine: str, repository: Path) -> None:
    """The signal comes when a worker is known to hang; the command ends, and takes the worker with it."""
    if engine == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'autoclave[ray]'")
    source, fifo = write_input(tmp_path / "in.jsonl", 3), tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "my_hang.py").write_text(HANGS.format(fifo=str(fifo)))
    settings = ["--set", "language=null", "--set", "filters=['my_hang:HANG']"]
    command = [sys.executable, "-m", "autoclave", "clean", str(source), "--out", "out", "--workers", "1", *settings]
    process = subprocess.Popen(
        [*command, "--engine", engine],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{repository}{os.pathsep}{tmp_path}"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        worker = int(fifo.read_text())  # waits until the filter hangs
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "stopped; the same command goes on" in errors
    assert "Traceback" not in errors
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            break
        signal.sigtimedwait([], 0.1)
    else:
        pytest.fail("the worker goes on")
