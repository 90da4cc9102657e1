"""A byte flipped in any file that a run leaves, a file cut, emptied or removed: noticed by what reads it and by
`verify`, and made anew by the same command."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from small_run import SmallRun, autoclave, contents, differences

from autoclave.cleaning.dedup.slices import open_slices
from autoclave.corpus.checksums import CHECKSUMS, read_checked, read_checksums
from autoclave.corpus.commits import read_commits
from autoclave.corpus.schema import read_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveError
from autoclave.model.formats.checkpoint import checkpoint_damage, load_model
from autoclave.pipelines.dedup import manifest as dedup_manifest
from autoclave.pipelines.reading.ledgers import find_stage, open_stages, read_errors, read_shards
from autoclave.pipelines.reading.verification import verify
from autoclave.pipelines.running.funnel import read_summary
from autoclave.pipelines.running.stage import document_shards
from autoclave.tokenize.encoding import Encoder
from autoclave.tokenize.shards import TokenShard, open_listed, read_manifest

SLICES = r".*/(bands|exact|edges|copies|table|signatures)/\d+\.arrow|.*/clusters/\w+\.arrow"


def kind_of(name: str) -> str:
    return re.sub(r"\d{6,8}", "N", name)


def files_by_kind(run: Path) -> dict[str, list[str]]:
    """Every file of a run by its kind, the largest first, but the lock."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for path in sorted(run.rglob("*")):
        if path.is_file() and path.name != ".lock":
            kinds[kind_of(str(path.relative_to(run)))].append(str(path.relative_to(run)))
    for names in kinds.values():
        names.sort(key=lambda name: (-(run / name).stat().st_size, name))
    return dict(kinds)


def put(path: Path, data: bytes) -> None:
    """Write a file anew, with a time of its own: tests are faster than the clock of the filesystem."""
    put.times += 1
    path.with_name("written").write_bytes(data)
    os.utime(path.with_name("written"), ns=(put.times * 10**9, put.times * 10**9))
    os.replace(path.with_name("written"), path)


put.times = 0  # type: ignore[attr-defined]


def damaged_forms(data: bytes, seed: int) -> Iterator[tuple[str, bytes | None]]:
    """Flips of one bit at the head, the middle, the end and three random places; cut, emptied, removed (None)."""
    draw = random.Random(seed)
    if data:
        size = len(data)
        places = {"head": draw.randrange(min(size, 16)), "middle": size // 2, "end": size - 1}
        places |= {f"place {n}": draw.randrange(size) for n in range(3)}
        for name, at in places.items():
            flipped = bytearray(data)
            flipped[at] ^= 1 << draw.randrange(8)
            yield f"flip at the {name} ({at} of {size})", bytes(flipped)
        yield "cut", data[: draw.randrange(1, size) if size > 1 else 0]
        yield "empty", b""
    yield "longer", data + b"\n"
    yield "removed", None


@pytest.fixture(scope="module")
def copy(finished: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run to damage; every test puts back what it changed."""
    run = tmp_path_factory.mktemp("damage") / "run"
    shutil.copytree(finished.run, run)
    return run


def each_form(run: Path, name: str, seed: int) -> Iterator[str]:
    """Damage one file in every form, one after the other; at the end it is as it was."""
    data = (run / name).read_bytes()
    try:
        for form, damaged in damaged_forms(data, seed):
            if damaged is None:
                (run / name).unlink()
            else:
                put(run / name, damaged)
            yield form
    finally:
        put(run / name, data)


def test_verify_finds_any_damage_to_any_kind_of_file(copy: Path) -> None:
    whole = verify(str(copy))
    assert whole.findings == []
    assert whole.unrecorded == []
    missed = []
    for kind, names in files_by_kind(copy).items():
        for form in each_form(copy, names[0], seed=len(kind)):
            found = verify(str(copy)).findings
            if not any(one.file == names[0] for one in found) or not all(one.remedy for one in found):
                missed.append(f"{kind}: {form}")
    assert missed == []
    assert verify(str(copy)).findings == []


def read_as_the_next_does(run: Path, name: str) -> object:
    """Read a file with the function that stages and commands read it with."""
    path, label = run / name, name.partition("/")[0]
    leaf, folder = path.name, path.parent

    def rows_of(kind: str) -> Callable[[], object]:
        return lambda: list(read_shards(find_stage(open_stages(str(run)), label), kind, None))

    readers: list[tuple[str, Callable[[], object]]] = [
        (r".*/documents/.*", lambda: list(read_documents(str(path)))),
        (r".*/(ledger)/.*", rows_of("ledger")),
        (r".*/(dropped)/.*", rows_of("dropped")),
        (r".*/errors/.*", lambda: read_errors(find_stage(open_stages(str(run)), label))),
        (r"0[1-4]-\w+/(commits/.*|checksums\.json)", lambda: document_shards(Folder(run / label))),
        (r".*/commits/.*", lambda: list(read_commits(Folder(folder.parent)))),
        (r".*/step-\d+/.*", lambda: _raise(checkpoint_damage(folder))),
        (rf"(.*/)?{CHECKSUMS}", lambda: _required(read_checksums(str(folder)))),
        (r".*/phases/manifest\.json", lambda: dedup_manifest.read_manifest(str(path))),
        (SLICES, lambda: _all_slices(str(path))),
        (r".*/tokens/manifest\.json", lambda: read_manifest(str(folder))),
        (r"05-tokenize/tokens/\d+\.arrow", lambda: _open_all(str(folder))),
        (r".*/tokens/\d+\.fold-\d\.arrow", lambda: TokenShard(str(path))),
        (r".*/tokenizer\.json", lambda: Encoder.open(str(path))),
        (r".*/(config\.json|model\.safetensors)", lambda: load_model(folder)),
        (r"summary\.json", lambda: read_summary(Folder(run))),
        (r".*", lambda: read_checked(Folder(folder), leaf)),
    ]
    return next(reader for pattern, reader in readers if re.fullmatch(pattern, name))()


def _raise(message: str | None) -> None:
    if message is not None:
        raise AutoclaveError(message)


def _required(found: object) -> None:
    _raise("no checksums.json" if found is None else None)


def _all_slices(path: str) -> list[pa.RecordBatch]:
    with open_slices(path) as reader:
        return [reader.read(index) for index in range(len(reader))]


def _open_all(folder: str) -> None:
    manifest = read_manifest(folder)
    for entry in manifest.shards:
        open_listed(folder, manifest, entry)


HARMLESS = re.compile(
    r"06-train/(config\.json|model\.safetensors): removed"  # the newest checkpoint stands in
    r"|.*/phases/.*/commits/.*: removed|05-tokenize/commits/.*: removed"  # their own stage redoes the shard
    r"|0[1-4]-\w+/checksums\.json: removed"  # the commits are all there, and carry checksums of their own
)
"""What nothing that is read depends on."""


def test_whoever_reads_a_damaged_file_says_so(copy: Path) -> None:
    silent, tracebacks = [], []
    for kind, names in files_by_kind(copy).items():
        if not (copy / names[0]).stat().st_size:
            continue  # an empty list of errors is not opened
        sound = read_as_the_next_does(copy, names[0])
        for form in each_form(copy, names[0], seed=len(kind) + 1):
            try:
                found = read_as_the_next_does(copy, names[0])
                if not re.fullmatch(SLICES, names[0]) or found != sound:  # bytes between slices hold nothing
                    silent.append(f"{kind}: {form}")
            except AutoclaveError:
                pass
            except FileNotFoundError as error:
                tracebacks.append(f"{kind}: {form}: {error!r}")
    assert [one for one in silent if not HARMLESS.match(one)] == []
    assert tracebacks == []


def test_a_rerun_redoes_what_is_damaged_and_says_so(finished: SmallRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    newest = max(path.name for path in (run / "06-train/checkpoints").iterdir())
    damaged = []
    for number, names in enumerate(files_by_kind(run).values()):
        name = next((n for n in names if newest in n or "step-" not in n), names[0])
        data = bytearray((run / name).read_bytes())
        if data and name != "06-train/metrics.jsonl":  # only another training would make that anew
            data[len(data) * (number % 7) // 7] ^= 1 << number % 8
            put(run / name, bytes(data))
            damaged.append(name)
    found = json.loads(autoclave("verify", run, "--json", check=False).stdout)
    records = {name for name in damaged if name.endswith(CHECKSUMS) or "/commits/" in name}
    assert records <= {one["file"] for one in found["findings"]}  # what they cover cannot be judged
    done = autoclave("run", finished.recipe, "--run-dir", run, "--workers", "1")
    assert differences(contents(finished.run), contents(run)) == []
    assert autoclave("verify", run).stdout.strip().endswith("all as they were written")
    said = "".join(done.stderr.split())
    for stage in ("extract", "clean", "dedup", "dedup/signatures", "selfclean/round-1/models", "tokenize"):
        assert f"warning:{stage}:" in said
    assert re.search(rf"warning:\S+{newest}\S+damaged\S+goesonfromstep-", said)


def test_the_next_command_stops_with_one_message(finished: SmallRun, tmp_path: Path) -> None:
    clean = tmp_path / "02-clean"
    shutil.copytree(finished.run / "02-clean", clean)
    name = files_by_kind(clean)["documents/N.parquet"][0]
    data = bytearray((clean / name).read_bytes())
    data[len(data) // 2] ^= 16
    put(clean / name, bytes(data))
    failed = autoclave("dedup", clean, "--out", tmp_path / "dedup", "--workers", "1", check=False)
    assert failed.returncode == 1
    last = " ".join(failed.stderr.split())
    assert re.search(rf"error: \S+{name}: damaged: its checksum is \w+, not \w+; run clean again", last)
    assert "Traceback" not in last
    checked = autoclave("verify", clean, "--workers", "2", check=False)
    assert checked.returncode == 1
    assert f"the same autoclave clean again with --out {clean}" in checked.stdout
    (clean / "commits" / "000001.json").unlink()
    failed = autoclave("dedup", clean, "--out", tmp_path / "other", "--workers", "1", check=False)
    assert failed.returncode == 1
    assert "commits/000001.json: damaged: it is missing" in " ".join(failed.stderr.split())
    assert autoclave("verify", tmp_path, check=False).returncode == 1
    tokens = tmp_path / "elsewhere"
    shutil.copytree(finished.run / "05-tokenize/tokens", tokens)
    assert autoclave("verify", tokens).stdout.strip().endswith("all as they were written")
    put(tokens / "000000.arrow", b"")
    assert f"copy {tokens} anew" in autoclave("verify", tokens, check=False).stdout
    autoclave("verify", finished.run / "06-train/checkpoints/step-00000010")
    (tmp_path / "nothing").mkdir()
    assert autoclave("verify", tmp_path / "nothing", check=False).returncode == 2
