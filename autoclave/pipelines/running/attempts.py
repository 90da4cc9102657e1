"""One task of an engine: what it needs, what comes back from a worker, how often it is tried, how it ends.

A shard whose function raises, or whose process dies, is tried again and then given up (quarantined); the others go on.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autoclave.corpus.commits import Commit
from autoclave.errors import AutoclaveError, MissingDependencyError, RecipeError, ShardError

ATTEMPTS = 3
"""Times that a shard is tried before it is quarantined; a ShardError (the data's fault) is not tried again."""

ShardFunction = Callable[[Any], Commit]


@dataclass(frozen=True)
class Resources:
    """What one task needs: CPU cores and GPUs."""

    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True)
class Failure:
    """A shard that was given up: the message of its last error, and the traceback where it was not a data error."""

    shard: str
    message: str
    details: str = ""
    documents: int | None = None
    """How many documents went into the shard, None where that is not known."""


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


def call(function: ShardFunction, task: Any) -> Answer:
    """Run the function and turn whatever it raises into an answer (so that no foreign error has to be pickled)."""
    try:
        return Answer(function(task))
    except AutoclaveError as error:
        plain = error if type(error) is not MissingDependencyError else RecipeError(str(error))
        return Answer(None, plain, traceback.format_exc())
    except MemoryError:
        return Answer(None, None, "MemoryError: the shard does not fit in memory")
    except Exception:
        return Answer(None, None, traceback.format_exc())


def settle(index: int, task: Any, answer: Answer, attempt: int) -> Outcome | None:
    """Return the outcome of a task, None where it should be tried again; raise an error that concerns the whole run."""
    if answer.commit is not None:
        return Outcome(index, answer.commit)
    if answer.error is not None and not isinstance(answer.error, ShardError):
        raise answer.error
    if answer.error is None and attempt < ATTEMPTS:
        return None
    message = str(answer.error) if answer.error else answer.details.strip().splitlines()[-1]
    return Outcome(index, None, Failure(task.shard, message, answer.details, task.expected_documents))


def pause(attempt: int) -> None:
    """Wait before a task is tried again: 0.2 s, then 0.8 s."""
    time.sleep(0.2 * 4 ** (attempt - 1))
