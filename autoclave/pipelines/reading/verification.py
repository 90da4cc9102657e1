"""Verifying a run, a stage, a folder of tokens or a checkpoint: every file against the record that covers it.

Records are found below the folder that is given: commits, `checksums.json` lists, manifests of token shards. They carry
checksums of their own; what they list is then hashed in parallel processes. A list that should be there and is not (an
unfinished stage, a removed file) is a finding as well.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import posixpath
import re
from collections.abc import Callable, Iterator

import msgspec

from autoclave.corpus.checksums import CHECKSUMS, Checksums, compare
from autoclave.corpus.commits import Commit, OutputFile
from autoclave.corpus.sealed import Kind, unseal
from autoclave.corpus.storage import PARTIAL, Folder
from autoclave.errors import InputError
from autoclave.tokenize.shards import MANIFEST, Manifest

TASK_BYTES = 64 << 20
"""Files are handed to a process until they come to so many bytes."""

_STAGE = re.compile(r"\d\d-.+")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One file that is not as recorded, relative to the folder; what is wrong with it; the command that mends it."""

    file: str
    what: str
    remedy: str


class Verification(msgspec.Struct, kw_only=True):
    """What was verified: files and bytes, what is wrong, and files that no record covers."""

    folder: str
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = []
    unrecorded: list[str] = []


def verify(url: str, workers: int = 1, advance: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Verify all that lies below a folder. advance: called with (files so far, files in all).

    Raises InputError where the folder holds nothing with checksums.
    """
    folder = Folder(url)
    records = _Records(folder)
    if not records.expected and not records.findings:
        raise InputError(f"{url}: nothing here has checksums; give a run, a stage, token shards or a checkpoint")
    found = Verification(folder=folder.url, findings=list(records.findings))
    items = sorted(records.expected.items(), key=lambda one: (one[0][0], one[0][1].checksum))
    found.files, found.bytes = len(items), sum(file.bytes for (_, file), _ in items)
    compared = _compare_all(folder, [item for item, _ in items], workers)
    for done, ((name, file), what) in enumerate(compared, 1):
        advance(done, found.files)
        if what is not None:
            found.findings.append(Finding(file=name, what=what, remedy=records.remedy(records.expected[name, file])))
    found.findings = sorted({(one.file, one.what): one for one in found.findings}.values(), key=lambda one: one.file)
    covered = {name for name, _ in records.expected} | records.names
    found.unrecorded = sorted(records.present - covered)
    return found


Item = tuple[str, OutputFile]


def _compare_all(folder: Folder, items: list[Item], workers: int) -> Iterator[tuple[Item, str | None]]:
    """Yield each item with what is wrong with it, as tasks finish."""
    tasks: list[list[Item]] = [[]]
    size = 0
    for item in items:
        if size + item[1].bytes > TASK_BYTES and tasks[-1]:
            tasks.append([])
            size = 0
        tasks[-1].append(item)
        size += item[1].bytes
    if workers <= 1 or len(tasks) == 1:
        for task in tasks:
            yield from _compare(folder.url, task)
        return
    context = multiprocessing.get_context("forkserver")
    with concurrent.futures.ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context) as pool:
        for future in concurrent.futures.as_completed([pool.submit(_compare, folder.url, task) for task in tasks]):
            yield from future.result()


def _compare(url: str, items: list[Item]) -> list[tuple[Item, str | None]]:
    folder = Folder(url)
    return [(item, compare(folder.path(item[0]), item[1])) for item in items]


class _Records:
    """All records below a folder.

    present: every finished file; names: the records themselves; expected: (file, what it must be) -> the folder of its
    record; findings: records that are damaged or absent.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.present = _files(folder)
        self.names: set[str] = set()
        self.expected: dict[Item, str] = {}
        self.findings: list[Finding] = []
        self._made_by: dict[str, str] = {}
        for name in sorted(self.present):
            self._read(name)
        for base in sorted({self._base(name) for name in self.present if self._wants_list(name)} | self._stages()):
            if posixpath.join(base, CHECKSUMS) not in self.present:
                what = "it is missing: the work here did not end, or the file was removed"
                self._add(posixpath.join(base, CHECKSUMS), what, base)

    def _read(self, name: str) -> None:
        base, leaf = posixpath.split(name)
        if leaf == CHECKSUMS:
            listed = self._unseal(name, Checksums, base)
            if listed is not None:
                self._made_by[base] = listed.made_by
                self._expect(base, listed.files)
                if not listed.complete:
                    self._add(name, "the work here did not end", base)
        elif posixpath.basename(base) == "commits" and leaf.endswith(".json"):
            root = posixpath.dirname(base)
            commit = self._unseal(name, Commit, root)
            if commit is not None:
                self._made_by.setdefault(root, commit.stage)
                self._expect(root, commit.outputs)
        elif leaf == MANIFEST and any(posixpath.dirname(n) == base and n.endswith(".arrow") for n in self.present):
            manifest = self._unseal(name, Manifest, base)
            if manifest is not None:
                files = {entry.file: OutputFile(entry.file_bytes, entry.checksum) for entry in manifest.shards}
                self._made_by.setdefault(base, "tokenize")
                self._expect(base, files)

    def _unseal(self, name: str, kind: type[Kind], base: str) -> Kind | None:
        self.names.add(name)
        try:
            return unseal(self.folder.read_bytes(name), kind)
        except ValueError as error:
            self._add(name, str(error), base)
            return None

    def _expect(self, base: str, files: dict[str, OutputFile]) -> None:
        self.expected |= {(posixpath.join(base, name), file): base for name, file in files.items()}

    def _add(self, name: str, what: str, base: str) -> None:
        self.findings.append(Finding(file=name, what=what, remedy=self.remedy(base)))

    def _wants_list(self, name: str) -> bool:
        """Whether a file shows that a list must stand in the folder `_base` of it."""
        parts = name.split("/")
        return (
            (len(parts) > 1 and parts[-2] == "commits")
            or (len(parts) > 1 and parts[-2].startswith("step-"))
            or (len(parts) > 2 and parts[-3] == "checkpoints")
            or name in ("recipe.yaml", "summary.json")
        )

    def _base(self, name: str) -> str:
        parts = name.split("/")
        if len(parts) > 1 and parts[-2] == "commits":
            return "/".join(parts[:-2])
        return posixpath.dirname(name)

    def _stages(self) -> set[str]:
        """Folders of stages, and of trainings, by the names of their folders."""
        runs = {name.split("/")[0] for name in self.present if _STAGE.fullmatch(name.split("/")[0])}
        steps = (name.partition("checkpoints/step-") for name in self.present)
        trainings = {before.rstrip("/") for before, found, _ in steps if found}
        return (runs | {""} if runs else set()) | trainings

    def remedy(self, base: str) -> str:
        """The command that makes a file anew: that of the run where it is one's, else of the stage."""
        root = self.folder.url
        run = root if _STAGE.fullmatch(base.split("/")[0]) or "recipe.yaml" in self.present else self._run_above
        if run is not None:
            return f"autoclave run {run}/recipe.yaml --run-dir {run}"
        made_by = next((self._made_by[part] for part in _up(base) if part in self._made_by), "")
        command = made_by.partition("/")[0]
        place = f"{root}/{base}".rstrip("/")
        if "checkpoints/step-" in f"{place}/":
            return f"the same autoclave train again, which goes on from a whole checkpoint (or remove {place})"
        if command == "tokenize" and MANIFEST in self.present:
            return f"the same autoclave tokenize again, or copy {root} anew from where it was made"
        return f"the same autoclave {command} again with --out {root}" if command else f"make {place} again"

    @functools.cached_property
    def _run_above(self) -> str | None:
        """The run that the folder is a stage of, or a part of one's stage."""
        above, _, last = self.folder.url.rpartition("/")
        for _ in range(3):
            if _STAGE.fullmatch(last) and Folder(above or "/").exists("recipe.yaml"):
                return above
            above, _, last = above.rpartition("/")
        return None


def _up(base: str) -> Iterator[str]:
    """Yield a folder and those above it, '' last."""
    while base:
        yield base
        base = posixpath.dirname(base)
    yield ""


def _files(folder: Folder) -> set[str]:
    """Return the names of all finished files below a folder; InputError where there is no such folder."""
    if not folder.fs.exists(folder.root):
        raise InputError(f"{folder.url}: no such folder")
    names = (posixpath.relpath(str(path), folder.root) for path in folder.fs.find(folder.root))
    return {name for name in names if PARTIAL not in name and not name.endswith(".lock")}
