"""Shards under guard: one that fails is searched for the documents at fault, which become errors; the rest is kept.

The search halves: a shard's documents are done in two parts, the part that fails in two again. Where nothing of the
shard can be done even without its documents, or too many of them fail, it is given up. A run in which everything fails
stops early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autoclave.corpus.storage import Folder
from autoclave.errors import RunError
from autoclave.pipelines.running.attempts import Failure, Outcome, Resources, ShardFunction
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.guards.mask import UNITS, Mask

BREAKER = 5
"""Shards that fail, with none that was done, after which one is searched; if it cannot be saved the run stops."""

MOST_CULPRITS = 32
"""Documents of one shard that may become errors; with more, the fault is not theirs."""

LEAST_SECONDS, HEALTHY_TIMES = 15.0, 10
"""A probe for a document that hangs gets this time at least, or this many times that of the slowest healthy probe."""

CONFIRM_SECONDS = 60.0
"""A single document that ran out of a shortened time is tried once more with this time, or the whole limit if less."""

BISECTION = "bisection"
Tell = Callable[[str], None]
Span = tuple[int, int]


@dataclass
class Search:
    """The search for the documents at fault in one shard. `spans` are to be tried next, `culprits` were found."""

    index: int
    task: Any
    failure: Failure
    spans: list[Span] = field(default_factory=lambda: [(0, 0)])
    culprits: dict[int, str] = field(default_factory=dict)
    confirming: set[Span] = field(default_factory=set)
    healthy_seconds: float | None = None
    hopeless: str | None = None

    @property
    def folder(self) -> Folder:
        return Folder(self.task.folder).child(f"{BISECTION}/{self.task.shard}")

    def probes(self) -> list[Any]:
        """Return one task a span."""
        return [
            replace(
                self.task,
                mask=Mask(only=span),
                probe=True,
                folder=self.folder.child(f"{span[0]}-{span[1]}").url,
                seconds=self._seconds(span),
            )
            for span in self.spans
        ]

    def _seconds(self, span: Span) -> float | None:
        whole: float | None = self.task.seconds
        if whole is None or span == (0, 0):
            return whole
        if span in self.confirming:
            return min(whole, CONFIRM_SECONDS)
        if self.healthy_seconds is None:
            return min(whole, max(LEAST_SECONDS, whole / 2))
        return min(whole, max(LEAST_SECONDS, HEALTHY_TIMES * self.healthy_seconds))

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take the outcomes of the probes, in their order, and choose the next spans."""
        tried, self.spans = self.spans, []
        for span, outcome in zip(tried, outcomes, strict=True):
            if span == (0, 0):
                self._begin(outcome)
            elif outcome.commit is not None:
                self.healthy_seconds = max(self.healthy_seconds or 0.0, outcome.commit.seconds)
            elif outcome.failure is not None:
                self._halve(span, outcome.failure)
        if len(self.culprits) + len(self.spans) > MOST_CULPRITS:
            self.spans = []
            if self.failure.cause == "time":  # the shard is slow as a whole, and gets one try with more time
                self.culprits = {}
            else:
                self.hopeless = f"more than {MOST_CULPRITS} documents fail"

    def _begin(self, outcome: Outcome) -> None:
        if outcome.commit is None:
            self.hopeless = "it fails without its documents as well"
            return
        units = outcome.commit.counts.get(UNITS, 0) if self.task.units is None else self.task.units
        self.spans = halves((0, units)) if units > 1 else [(0, 1)] * (units == 1)

    def _halve(self, span: Span, failure: Failure) -> None:
        if span[1] - span[0] > 1:
            self.spans += halves(span)
        elif failure.cause == "time" and span not in self.confirming:
            self.confirming.add(span)
            self.spans.append(span)
        else:
            self.culprits[span[0]] = failure.message

    def last(self) -> Any:
        """Return the task that does the shard without the documents at fault."""
        seconds = self.task.seconds
        if self.failure.cause == "time" and seconds is not None and not self.culprits:
            seconds *= 4  # no document hangs, or all do
        return replace(self.task, mask=Mask(tuple(sorted(self.culprits.items()))), seconds=seconds)

    def lost(self, failure: Failure | None) -> Outcome:
        """Return the outcome of a shard that is given up."""
        why = f" (the search for the document at fault: {self.hopeless})" if self.hopeless else ""
        if failure is not None and failure.message != self.failure.message:
            why = f" (without the documents at fault: {failure.message})"
        return Outcome(self.index, None, replace(self.failure, message=f"{self.failure.message}{why}"))


def halves(span: Span) -> list[Span]:
    """Return the two halves of a span of at least two units."""
    middle = (span[0] + span[1]) // 2
    return [(span[0], middle), (middle, span[1])]


def run_guarded(
    engine: Engine, function: ShardFunction, tasks: Sequence[Any], resources: Resources, tell: Tell
) -> Iterator[Outcome]:
    """Run tasks as `Engine.map_shards` does, and save what can be saved of those that fail.

    Raises RunError where the first BREAKER tasks all fail and the first of them cannot be saved.
    """
    waiting, failed, done = list(range(len(tasks))), list[tuple[int, Failure]](), 0
    while waiting:
        left = set(waiting)
        stream = engine.map_shards(function, [tasks[index] for index in waiting], resources)
        for outcome in stream:
            index = waiting[outcome.index]
            left.discard(index)
            if outcome.failure is None:
                done += 1
                yield replace(outcome, index=index)
                continue
            failed.append((index, outcome.failure))
            if not done and len(failed) >= BREAKER and left:
                stream.close()  # type: ignore[attr-defined]
                break
        waiting = sorted(left)
        if waiting:
            index, failure = failed.pop(0)
            for outcome in rescue(engine, function, [Search(index, tasks[index], failure)], resources, tell):
                if outcome.failure is not None:
                    raise RunError(
                        f"the first {BREAKER} shards all failed, so the other {len(waiting)} are not tried; the first,"
                        f" {outcome.failure.shard}: {outcome.failure.message}"
                    )
                done += 1
                yield outcome
    searches = [Search(index, tasks[index], failure) for index, failure in failed]
    yield from rescue(engine, function, searches, resources, tell)


def rescue(
    engine: Engine, function: ShardFunction, searches: Sequence[Search], resources: Resources, tell: Tell
) -> Iterator[Outcome]:
    """Search shards that failed, all at a time, and yield how each ends: done but for some documents, or given up."""
    for search in searches:
        if search.task.masking is None:
            yield Outcome(search.index, None, search.failure)
        else:
            tell(f"shard {search.task.shard} failed ({search.failure.message}); looking for the document at fault")
    able = [search for search in searches if search.task.masking is not None]
    while active := [search for search in able if search.spans and search.hopeless is None]:
        probes = [search.probes() for search in active]
        flat = [probe for some in probes for probe in some]
        found = sorted(engine.map_shards(function, flat, resources), key=lambda outcome: outcome.index)
        for search, some in zip(active, probes, strict=True):
            search.learn(found[: len(some)])
            found = found[len(some) :]
    hopeful = [search for search in able if search.hopeless is None]
    last = [search.last() for search in hopeful]
    for outcome in engine.map_shards(function, last, resources) if last else ():
        search = hopeful[outcome.index]
        if outcome.commit is None:
            yield search.lost(outcome.failure)
            continue
        for cause in search.culprits.values():
            tell(f"shard {search.task.shard}: one document is an error (errors/{search.task.shard}.jsonl): {cause}")
        yield Outcome(search.index, outcome.commit)
    yield from (search.lost(None) for search in able if search.hopeless is not None)
    for folder in {search.task.folder for search in able}:
        Folder(folder).remove(BISECTION)
