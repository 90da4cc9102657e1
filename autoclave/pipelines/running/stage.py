"""What a stage is, and how it runs over shards: tasks, fingerprints, commits, resume, accounting."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from autoclave.corpus import checksums
from autoclave.corpus.commits import Commit, commit_name, fingerprint, is_done, read_commits
from autoclave.corpus.output import ShardOutput
from autoclave.corpus.schema import count_documents
from autoclave.corpus.storage import Folder, input_fingerprint
from autoclave.errors import InputError, RunError
from autoclave.pipelines.running.attempts import Failure, Outcome, Resources
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.guards.mask import Mask, Masking, mask_documents
from autoclave.pipelines.running.guards.rescue import BISECTION, run_guarded
from autoclave.pipelines.running.guards.settings import GuardSettings
from autoclave.pipelines.running.standing import find_standing, forget_others, standing_commit

SettingsType = TypeVar("SettingsType", bound=msgspec.Struct)


@dataclass(frozen=True)
class ShardTask:
    """The work on one shard, as it travels to a worker: names and settings, never documents."""

    stage: str
    """Name of the stage, with its phase: 'dedup', 'dedup/signatures'."""
    shard: str
    """Six digits; the same shard keeps its name through all stages."""
    inputs: tuple[str, ...]
    """URLs of the files to read."""
    folder: str
    """URL of the directory that the outputs go to."""
    settings: Any
    """The stage's settings (a frozen msgspec.Struct)."""
    arguments: Mapping[str, Any]
    """JSON values that this shard needs besides (a partition's number, thresholds)."""
    seed: int
    fingerprint: str
    expected_documents: int | None = None
    """How many documents go in, where that is known beforehand."""
    dropped_share: float = 1.0
    size: int | None = None
    """Bytes of the inputs as stored, None where that is not known; what default limits are made from."""
    allowance: float = 0.0
    """Seconds that the default time limit is longer for what is known to be slow."""
    seconds: float | None = None
    memory: int | None = None
    """Limits, the latter in bytes; set when the task is run."""
    masking: Masking | None = None
    """How documents can be left out, None where they cannot; with `units`, their number, None where it is not known."""
    units: int | None = None
    mask: Mask | None = None
    probe: bool = False
    """Whether this is a part of the search for a document at fault, whose outputs go away."""


ShardFunction = Callable[[ShardTask, ShardOutput], None]


@dataclass(frozen=True)
class DocumentShard:
    """One shard of documents that an earlier stage committed."""

    name: str
    path: str
    fingerprint: str
    documents: int
    ledger: str | None = None
    """Of the stage that wrote the documents; None for other files."""
    size: int | None = None
    """Bytes as stored, where that is known."""


@dataclass(frozen=True)
class _Runner:
    """The function that workers call: skips what is done, checks the inputs, runs the stage's function, commits.

    Raises DamageError for an input that is not what its stage wrote.
    """

    function: ShardFunction

    def __call__(self, task: ShardTask) -> Commit:
        folder = Folder(task.folder)
        standing = standing_commit(folder, task.shard)
        if standing is not None and is_done(folder, standing, task.fingerprint):
            return standing
        folder.remove(commit_name(task.shard))
        for path in task.inputs:
            checksums.check(path)
        with ShardOutput(folder, task.stage, task.shard, dropped_share=task.dropped_share, seed=task.seed) as output:
            given = task
            if task.mask is not None and task.masking != "own":
                scratch = folder if task.probe else folder.child(f"{BISECTION}/{task.shard}")
                given = mask_documents(task, scratch, output)
            if given.expected_documents is not None:
                output.expect(given.expected_documents)
            self.function(given, output)
            return output.commit(task.fingerprint, task.inputs)


class Progress(Protocol):
    """Told what happens; the terminal shows it, tests ignore it."""

    def begin(self, name: str, total: int) -> None: ...

    def advance(self, name: str, outcome: Outcome, reused: bool) -> None: ...

    def end(self, name: str) -> None: ...

    def message(self, text: str) -> None: ...

    def update(self, name: str, completed: int, total: int, note: str) -> None:
        """Report progress inside one long task (a training run); total: 0 where it is not known."""
        ...


class Silent:
    """A progress that shows nothing."""

    def begin(self, name: str, total: int) -> None: ...

    def advance(self, name: str, outcome: Outcome, reused: bool) -> None: ...

    def end(self, name: str) -> None: ...

    def message(self, text: str) -> None: ...

    def update(self, name: str, completed: int, total: int, note: str) -> None: ...


@dataclass
class StageContext(Generic[SettingsType]):
    """What a running stage may use.

    folder: where it writes; settings: its own; seed: the run's; inputs: the document shards of the stage before it
    (empty for the first); sources: the input arguments of the run, for a stage that reads raw files; previous: the
    folder of the stage before it.
    """

    name: str
    folder: Folder
    settings: SettingsType
    seed: int
    engine: Engine
    inputs: list[DocumentShard] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    previous: Folder | None = None
    progress: Progress = field(default_factory=Silent)
    dropped_share: float = 1.0
    guards: GuardSettings = field(default_factory=GuardSettings)
    code: str = ""
    """Version of the code that decides (guards/code_version.py); part of every fingerprint."""
    permit: Callable[[str], None] = field(default=lambda what: None)
    """Raises RunError unless what it is told (that a trained model goes) is allowed."""
    failures: list[Failure] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    """Commits of the stage itself (not of its phases), set by `map_shards`."""
    results: dict[str, float] = field(default_factory=dict)
    """Figures for the run's summary (final loss, tokens)."""

    def phase_folder(self, phase: str | None) -> Folder:
        """Return the directory of a phase: the stage's own for None."""
        return self.folder if phase is None else self.folder.child(f"phases/{phase}")

    def task(
        self,
        shard: str,
        inputs: Sequence[str | DocumentShard] = (),
        *,
        phase: str | None = None,
        settings: msgspec.Struct | None = None,
        expected_documents: int | None = None,
        versions: Sequence[str] | None = None,
        masking: Masking | None = None,
        units: int | None = None,
        allowance: float = 0.0,
        **arguments: Any,
    ) -> ShardTask:
        """Return the task for one shard.

        Its fingerprint covers the settings (the stage's, or those given), the arguments, the seed and the inputs'
        contents: give `arguments` for whatever else the result depends on. Argument names that begin with an
        underscore (paths, say) do not count towards the fingerprint. versions: the inputs' fingerprints where they are
        known already. A task whose first input is a shard of documents can leave some of them out, others where they
        say how (masking, units: see guards/mask.py).
        """
        given = self.settings if settings is None else settings
        paths = tuple(item.path if isinstance(item, DocumentShard) else item for item in inputs)
        if versions is None:
            versions = [i.fingerprint if isinstance(i, DocumentShard) else input_fingerprint(i) for i in inputs]
        stage = self.name if phase is None else f"{self.name}/{phase}"
        counted = {name: value for name, value in arguments.items() if not name.startswith("_")}
        first = inputs[0] if inputs else None
        if masking is None and isinstance(first, DocumentShard) and first.ledger is not None:
            masking, units = "aligned", first.documents
        return ShardTask(
            stage=stage,
            shard=shard,
            inputs=paths,
            folder=self.phase_folder(phase).url,
            settings=given,
            arguments=arguments,
            seed=self.seed,
            fingerprint=fingerprint(stage, given, counted, self.seed, versions, self.dropped_share, self.code),
            expected_documents=expected_documents,
            dropped_share=self.dropped_share,
            size=_size(inputs, versions),
            allowance=allowance,
            masking=masking,
            units=units,
        )

    def document_tasks(self, **arguments: Any) -> list[ShardTask]:
        """Return one task per input shard for the stage itself, each expecting all of its documents."""
        return [
            self.task(s.name, [s], expected_documents=s.documents, masking="rows", units=s.documents, **arguments)
            for s in self.inputs
        ]

    def map_shards(
        self,
        function: ShardFunction,
        tasks: Sequence[ShardTask],
        *,
        phase: str | None = None,
        resources: Resources | None = None,
    ) -> list[Commit]:
        """Run `function(task, output)` over the tasks and return the commits in the order of the tasks.

        Shards whose commit stands and matches, with outputs that are as committed, are not run again. A shard that
        keeps failing is quarantined: it is absent from the result and reported at the end. Raises RunError where every
        shard failed, and where a phase lost one (what follows would be made of less than came in) unless the guards say
        to continue.
        """
        folder = self.phase_folder(phase)
        forget_others(folder, {task.shard for task in tasks})
        folder.remove(BISECTION)
        label = self.name if phase is None else f"{self.name}/{phase}"
        self.progress.begin(label, len(tasks))
        commits: list[Commit | None] = [None] * len(tasks)
        waiting: list[int] = []
        tell = functools.partial(self._tell, label)
        standing = find_standing(folder, tasks, self.engine, tell)
        for index, task in enumerate(tasks):
            commits[index] = standing.get(task.shard)
            if commits[index] is None:
                waiting.append(index)
            else:
                self.progress.advance(label, Outcome(index, commits[index]), True)
        if waiting:
            checksums.reopen(folder, label)
        failures: list[Failure] = []
        chosen = [self._limited(tasks[index], resources) for index in waiting]
        for outcome in run_guarded(self.engine, _Runner(function), chosen, resources or Resources(), tell):
            commits[waiting[outcome.index]] = outcome.commit
            if outcome.failure is not None:
                failures.append(outcome.failure)
                folder.write_bytes(f"quarantine/{outcome.failure.shard}.json", msgspec.json.encode(outcome.failure))
            self.progress.advance(label, outcome, False)
        self.progress.end(label)
        self.failures += failures
        done = [commit for commit in commits if commit is not None]
        if tasks and not done:
            raise RunError(f"{label}: every shard failed; the first: {failures[0].message}")
        if failures and phase is not None and self.guards.on_lost_shard == "stop":
            lost = f"{len(failures)} of {len(tasks)} shards given up"
            raise RunError(f"{label}: {lost}; first {failures[0].shard}: {failures[0].message}; run again to try again")
        for commit in done:
            folder.remove(f"quarantine/{commit.shard}.json")
        checksums.close(folder, done, label)
        if phase is None:
            self.commits = done
        return done

    def write_file(self, name: str, data: bytes) -> None:
        """Write a small file of the stage as a whole (settings, a manifest) with its checksum."""
        checksums.write_recorded(self.folder, name, data, self.name)

    def _limited(self, task: ShardTask, resources: Resources | None) -> ShardTask:
        """Return the task with its limits."""
        if resources is not None and not resources.limited:
            return task
        seconds = self.guards.seconds(task.size)
        if seconds is not None and self.guards.task_seconds is None:
            seconds += task.allowance
        return replace(task, seconds=seconds, memory=self.guards.memory(task.size))

    def _tell(self, label: str, message: str) -> None:
        self.progress.message(f"warning: {label}: {message}")


def _size(inputs: Sequence[str | DocumentShard], versions: Sequence[str]) -> int | None:
    """Return the bytes of the inputs whose size is known, None where none is."""
    sizes = [
        item.size if isinstance(item, DocumentShard) else int(version.partition(":")[0])
        for item, version in zip(inputs, versions, strict=True)
    ]
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None


@dataclass(frozen=True)
class Stage(Generic[SettingsType]):
    """A stage as recipes know it: its name, the type of its settings, and what runs it.

    check: raises RecipeError where the engine cannot run these settings; called before any stage of a run begins
    """

    name: str
    settings: type[SettingsType]
    run: Callable[[StageContext[SettingsType]], None]
    reads: str = "documents"
    """What it takes from the stage before it: 'documents', 'tokens', or 'sources' for raw files."""
    writes: str = "documents"
    free: frozenset[str] = frozenset()
    """Settings that may change without the stage's output being made anew."""
    check: Callable[[SettingsType, Engine], None] | None = None


def document_shards(folder: Folder) -> list[DocumentShard]:
    """Return the committed document shards of a stage directory.

    Raises InputError where it has none or the stage has not run to its end, DamageError where commits are damaged or
    missing.
    """
    commits = list(read_commits(folder))
    listed = checksums.read_checksums(folder.url)
    if listed is not None and commits:
        if not listed.complete:
            raise InputError(f"{folder.url}: the stage {listed.made_by} has not run to its end; run it again first")
        recorded = {name: file for name, file in listed.files.items() if name.startswith("commits/")}
        for name in recorded:
            checksums.require(folder.path(name), recorded[name], checksums.remedy_of(listed.made_by))
    shards: list[DocumentShard] = []
    for commit in commits:
        name = f"documents/{commit.shard}.parquet"
        if name in commit.outputs:
            ledger = f"ledger/{commit.shard}.parquet"
            shards.append(
                DocumentShard(
                    commit.shard,
                    folder.path(name),
                    commit.outputs[name].checksum,
                    commit.kept,
                    folder.path(ledger),
                    commit.outputs[name].bytes,
                )
            )
    if not shards:
        raise InputError(f"{folder.url}: no finished stage output here (no commits); give the output folder of a stage")
    return shards


def refuse_run_directory(folder: Folder) -> None:
    """Raise InputError, naming its stages, where the folder of one stage is wanted and this is a whole run's."""
    stages = folder.files("[0-9][0-9]-*")
    if stages and not folder.files("commits/*.json"):
        raise InputError(f"{folder.url} is a run directory; name one of its stages, such as {folder.path(stages[-1])}")


def parquet_shards(paths: Sequence[str]) -> Iterator[DocumentShard]:
    """Yield shards for bare Parquet files of the document schema, named by their place in the list."""
    for index, path in enumerate(paths):
        yield DocumentShard(f"{index:06d}", path, input_fingerprint(path), count_documents(path))
