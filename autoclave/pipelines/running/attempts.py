"""One task of an engine: what it needs, what comes back from a worker, how often it is tried, how it ends.

A shard whose function raises, or whose process dies, is tried again and then given up; the others go on. What runs out
of time or memory is not tried again as it is: the document at fault is looked for (guards/rescue.py).
"""

from __future__ import annotations

import heapq
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from autoclave.corpus.commits import Commit
from autoclave.corpus.machine import machine_error
from autoclave.errors import AutoclaveError, MachineError, MissingDependencyError, RecipeError, ShardError

ATTEMPTS = 3
"""Times that a shard is tried before it is given up; a ShardError (the data's fault) is not tried again."""

ShardFunction = Callable[[Any], Commit]

Cause = Literal["error", "died", "memory", "time"]


@dataclass(frozen=True)
class Resources:
    """What one task needs: CPU cores and GPUs; tasks that train or score with a model have no limits of time and
    memory (limited)."""

    cpus: float = 1
    gpus: float = 0
    limited: bool = True


@dataclass(frozen=True)
class Failure:
    """A shard that was given up: the message of its last error, and the traceback where it was not a data error."""

    shard: str
    message: str
    details: str = ""
    documents: int | None = None
    """How many documents went into the shard, None where that is not known."""
    cause: Cause = "error"


@dataclass(frozen=True)
class Outcome:
    """The end of one task: its place in the list that was given, and its commit or why there is none."""

    index: int
    commit: Commit | None
    failure: Failure | None = None


@dataclass
class Answer:
    """What comes back from a worker: the commit, or what went wrong, as plain text that always pickles."""

    commit: Commit | None
    error: AutoclaveError | None = None
    details: str = ""
    cause: Cause = "error"


def call(function: ShardFunction, task: Any) -> Answer:
    """Run the function and turn whatever it raises into an answer (so that no foreign error has to be pickled)."""
    try:
        return Answer(function(task))
    except AutoclaveError as error:
        plain = error if type(error) is not MissingDependencyError else RecipeError(str(error))
        return Answer(None, plain, traceback.format_exc())
    except MemoryError:
        return Answer(None, None, f"{traceback.format_exc()}\nout of memory (MemoryError)", "memory")
    except Exception as error:
        return Answer(None, machine_error(error), traceback.format_exc())


def settle(index: int, task: Any, answer: Answer, attempt: int) -> Outcome | None:
    """Return the outcome of a task, None where it should be tried again; raise an error that concerns the whole run."""
    if answer.commit is not None:
        return Outcome(index, answer.commit)
    again = attempt < (1 if task.probe else ATTEMPTS)
    if answer.error is not None and not isinstance(answer.error, ShardError):
        if isinstance(answer.error, MachineError) and answer.error.passing and attempt < ATTEMPTS:
            return None
        answer.error.add_note(answer.details)
        raise answer.error
    if answer.error is None and again and answer.cause not in ("time", "memory"):
        return None
    message = str(answer.error) if answer.error else last_line(answer.details)
    return Outcome(index, None, Failure(task.shard, message, answer.details, task.expected_documents, answer.cause))


def last_line(details: str) -> str:
    """Return the last line of a traceback: the type of what was raised and its message."""
    return (details.strip().splitlines() or ["failed without a word"])[-1]


class Queue:
    """Tasks that wait to be run: new ones in their order, those to try again when their time has come. Nobody sleeps
    for one: others run meanwhile."""

    def __init__(self, tasks: int) -> None:
        self._new = list(range(tasks))[::-1]
        self._later: list[tuple[float, int, int]] = []

    def __bool__(self) -> bool:
        return bool(self._new or self._later)

    def again(self, index: int, attempt: int, now: float) -> None:
        """Put a task back after its `attempt`th try: due in 0.2 s, then 0.8 s."""
        heapq.heappush(self._later, (now + 0.2 * 4 ** (attempt - 1), index, attempt + 1))

    def take(self, now: float) -> tuple[int, int] | None:
        """Return (index, attempt) of a task that is due, None where none is."""
        if self._later and self._later[0][0] <= now:
            _, index, attempt = heapq.heappop(self._later)
            return index, attempt
        return (self._new.pop(), 1) if self._new else None

    def wait(self, now: float) -> float | None:
        """Return the seconds until a task is due that is to be tried again, None where there is none."""
        return max(0.0, self._later[0][0] - now) if self._later else None
