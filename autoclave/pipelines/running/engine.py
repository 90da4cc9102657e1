"""Where shards run: one interface, the engines of this machine, and the choice of one (Ray's is in ray_engine.py).

`Engine.map_shards` runs a function over tasks with bounded work in flight and yields outcomes as they finish. Documents
do not travel: a task names files, the function reads and writes them, and only its commit comes back. What becomes of a
task that fails is in attempts.py.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from autoclave.errors import RecipeError
from autoclave.pipelines.running.attempts import Answer, Outcome, Resources, ShardFunction, call, pause, settle

PRELOAD = "autoclave.pipelines.running.preload"
"""Imported once by the server that workers are forked from, so that no worker pays for it."""


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
        from autoclave.pipelines.running.ray_engine import RayEngine

        return RayEngine(workers)
    raise RecipeError(f"unknown engine '{name}'; use local or ray")


class InProcessEngine:
    """Runs shards one after another in this process: for debugging and for tests (`--workers 0`)."""

    name = "local"
    workers = 1

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        for index, task in enumerate(tasks):
            outcome, attempt = None, 0
            while outcome is None:
                attempt += 1
                outcome = settle(index, task, call(function, task), attempt)
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

    def _submit(self, slot: int, function: ShardFunction, task: Any) -> concurrent.futures.Future[Answer]:
        pool = self._pools[slot]
        if pool is None:
            pool = concurrent.futures.ProcessPoolExecutor(1, mp_context=self._context, initializer=_die_with_parent)
            self._pools[slot] = pool
        return pool.submit(call, function, task)

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        """As the interface says; `resources.cpus` above one narrows the pool, GPUs are left to the function."""
        width = max(1, min(self.workers, int(self.workers // max(1.0, resources.cpus)), len(tasks)))
        queue = [(index, 1) for index in range(len(tasks))][::-1]
        running: dict[concurrent.futures.Future[Answer], tuple[int, int, int]] = {}
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
                outcome = settle(index, tasks[index], self._answer(slot, future), attempt)
                if outcome is None:
                    pause(attempt)
                    queue.append((index, attempt + 1))
                else:
                    yield outcome

    def _answer(self, slot: int, future: concurrent.futures.Future[Answer]) -> Answer:
        try:
            return future.result()
        except BrokenProcessPool:
            pool = self._pools[slot]
            assert pool is not None
            pool.shutdown(wait=False)
            self._pools[slot] = None
            return Answer(None, None, "the worker process died (killed, out of memory, or a crash in native code)")

    def close(self) -> None:
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        self._pools = [None] * self.workers
