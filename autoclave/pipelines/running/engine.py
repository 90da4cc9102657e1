"""Where shards run: one interface, two engines. This is the only file that imports Ray (besides the training launcher).

`Engine.map_shards` runs a function over tasks with bounded work in flight and yields outcomes as they finish. Documents
do not travel: a task names files, the function reads and writes them, and only its commit comes back. A shard whose
function raises, or whose process dies, is tried again and then given up (quarantined); the others go on.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from autoclave.corpus.commits import Commit
from autoclave.errors import AutoclaveError, MissingDependencyError, RecipeError, ShardError

ATTEMPTS = 3
"""Times that a shard is tried before it is quarantined; a ShardError (the data's fault) is not tried again."""

PRELOAD = "autoclave.pipelines.running.preload"
"""Imported once by the server that workers are forked from, so that no worker pays for it."""

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


@dataclass(frozen=True)
class Outcome:
    """The end of one task: its place in the list that was given, and its commit or why there is none."""

    index: int
    commit: Commit | None
    failure: Failure | None = None


class Engine(Protocol):
    """Runs shards. `workers` is how many run at a time where that is known."""

    name: str
    workers: int

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        """Yield one outcome a task, as they finish, in any order. Errors of the user's making are raised."""
        ...

    def close(self) -> None: ...


def make_engine(name: str, workers: int | None) -> Engine:
    """Return the engine of that name; RecipeError for an unknown one, MissingDependencyError where Ray is absent."""
    if name == "local":
        count = os.cpu_count() or 1 if workers is None else workers
        return InProcessEngine() if count == 0 else LocalEngine(count)
    if name == "ray":
        return RayEngine(workers)
    raise RecipeError(f"unknown engine '{name}'; use local or ray")


@dataclass
class _Answer:
    """What comes back from a worker: the commit, or what went wrong, as plain text that always pickles."""

    commit: Commit | None
    error: AutoclaveError | None = None
    details: str = ""


def call(function: ShardFunction, task: Any) -> _Answer:
    """Run the function and turn whatever it raises into an answer (so that no foreign error has to be pickled)."""
    try:
        return _Answer(function(task))
    except AutoclaveError as error:
        plain = error if type(error) is not MissingDependencyError else RecipeError(str(error))
        return _Answer(None, plain, traceback.format_exc())
    except MemoryError:
        return _Answer(None, None, "MemoryError: the shard does not fit in memory")
    except Exception:
        return _Answer(None, None, traceback.format_exc())


def _settle(index: int, task: Any, answer: _Answer, attempt: int) -> Outcome | None:
    """Return the outcome of a task, None where it should be tried again; raise an error that concerns the whole run."""
    if answer.commit is not None:
        return Outcome(index, answer.commit)
    if answer.error is not None and not isinstance(answer.error, ShardError):
        raise answer.error
    if answer.error is None and attempt < ATTEMPTS:
        return None
    message = str(answer.error) if answer.error else answer.details.strip().splitlines()[-1]
    return Outcome(index, None, Failure(task.shard, message, answer.details))


def _pause(attempt: int) -> None:
    time.sleep(0.2 * 4 ** (attempt - 1))


class InProcessEngine:
    """Runs shards one after another in this process: for debugging and for tests (`--workers 0`)."""

    name = "local"
    workers = 1

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        for index, task in enumerate(tasks):
            outcome, attempt = None, 0
            while outcome is None:
                attempt += 1
                outcome = _settle(index, task, call(function, task), attempt)
            yield outcome

    def close(self) -> None:
        """Nothing is held."""


def _die_with_parent() -> None:
    """End this worker at once when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class LocalEngine:
    """A pool of worker processes on this machine. Each worker is its own one-process pool, so that the shard which
    kills its process is known and no other is lost."""

    name = "local"

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        multiprocessing.forkserver.ensure_running()  # it imports while this process reads the recipe
        self._pools: list[concurrent.futures.ProcessPoolExecutor | None] = [None] * workers

    def _submit(self, slot: int, function: ShardFunction, task: Any) -> concurrent.futures.Future[_Answer]:
        pool = self._pools[slot]
        if pool is None:
            pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=self._context, initializer=_die_with_parent)
            self._pools[slot] = pool
        return pool.submit(call, function, task)

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        """As the interface says; `resources.cpus` above one narrows the pool, GPUs are left to the function."""
        width = max(1, min(self.workers, int(self.workers // max(1.0, resources.cpus)), len(tasks)))
        queue = [(index, 1) for index in range(len(tasks))][::-1]
        running: dict[concurrent.futures.Future[_Answer], tuple[int, int, int]] = {}
        free = list(range(width))[::-1]
        while queue or running:
            while queue and free:
                index, attempt = queue.pop()
                slot = free.pop()
                running[self._submit(slot, function, tasks[index])] = (slot, index, attempt)
            done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                slot, index, attempt = running.pop(future)
                free.append(slot)
                outcome = _settle(index, tasks[index], self._answer(slot, future), attempt)
                if outcome is None:
                    _pause(attempt)
                    queue.append((index, attempt + 1))
                else:
                    yield outcome

    def _answer(self, slot: int, future: concurrent.futures.Future[_Answer]) -> _Answer:
        try:
            return future.result()
        except BrokenProcessPool:
            pool = self._pools[slot]
            assert pool is not None
            pool.shutdown(wait=False)
            self._pools[slot] = None
            return _Answer(None, None, "the worker process died (killed, out of memory, or a crash in native code)")

    def close(self) -> None:
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        self._pools = [None] * self.workers


class RayEngine:
    """Tasks on a Ray cluster: an existing one (RAY_ADDRESS, or inside `ray job submit`), else one on this machine."""

    name = "ray"

    def __init__(self, workers: int | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError("ray", "ray", "--engine ray") from error
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
            if not os.environ.get(
                "RAY_ADDRESS"
            ):  # a cluster of its own: no dashboard, a small store (documents stay out)
                options |= {"include_dashboard": False, "object_store_memory": 256 << 20, "num_cpus": workers}
            ray.init(**options)
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        """As the interface says; at most two tasks a worker are in flight, so the head node holds little."""
        remote = self._ray.remote(call).options(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)
        queue = [(index, 1) for index in range(len(tasks))][::-1]
        running: dict[Any, tuple[int, int]] = {}
        while queue or running:
            while queue and len(running) < 2 * self.workers:
                index, attempt = queue.pop()
                running[remote.remote(function, tasks[index])] = (index, attempt)
            done, _ = self._ray.wait(list(running), num_returns=1)
            for reference in done:
                index, attempt = running.pop(reference)
                outcome = _settle(index, tasks[index], self._answer(reference), attempt)
                if outcome is None:
                    _pause(attempt)
                    queue.append((index, attempt + 1))
                else:
                    yield outcome

    def _answer(self, reference: Any) -> _Answer:
        try:
            answer: _Answer = self._ray.get(reference)
            return answer
        except self._ray.exceptions.RayError as error:  # the worker or its node died
            return _Answer(None, None, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")

    def close(self) -> None:
        if self._started:
            self._ray.shutdown()
