"""Where shards run: one interface, the engines of this machine, and the choice of one (Ray's is in ray_engine.py).

`Engine.map_shards` runs a function over tasks with bounded work in flight and yields outcomes as they finish. Documents
do not travel: a task names files, the function reads and writes them, and only its commit comes back. What becomes of a
task that fails is in attempts.py.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from autoclave.errors import RecipeError
from autoclave.pipelines.running.attempts import Outcome, Queue, Resources, ShardFunction, call, settle
from autoclave.pipelines.running.guards.worker import TICK, GuardedProcess, pickled

PRELOAD = "autoclave.pipelines.running.preload"
"""Imported once by the server that workers are forked from, so that no worker pays for it."""


class Engine(Protocol):
    """Runs shards. `workers` is how many run at a time where that is known."""

    name: str
    workers: int

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        """Yield one outcome a task, as they finish, in any order. Errors of the user's making, and the machine's, are
        raised. Where the iteration is left early (Ctrl-C, an error) what runs is ended at once.

        A task says its limits: `seconds`, `memory` (bytes), None where it has none; `probe`: it is tried once only.
        """
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
    """Runs shards one after another in this process, without limits: for debugging and for tests (`--workers 0`)."""

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


class LocalEngine:
    """Worker processes on this machine, each with one task at a time, so that the shard which kills its process is
    known and no other is lost."""

    name = "local"

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([PRELOAD])
        multiprocessing.forkserver.ensure_running()  # it imports while this process reads the recipe
        self._idle: list[GuardedProcess] = []

    def map_shards(self, function: ShardFunction, tasks: Sequence[Any], resources: Resources) -> Iterator[Outcome]:
        """As the interface says; `resources.cpus` above one narrows the pool, GPUs are left to the function."""
        width = max(1, min(self.workers, int(self.workers // max(1.0, resources.cpus)), len(tasks)))
        queue = Queue(len(tasks))
        running: dict[GuardedProcess, tuple[int, int]] = {}
        try:
            while queue or running:
                while len(running) < width and (taken := queue.take(time.monotonic())) is not None:
                    task = tasks[taken[0]]
                    process = self._idle.pop() if self._idle else GuardedProcess(self._context)
                    running[process] = taken
                    process.submit(pickled(function, task), task.seconds, task.memory)
                _wait(list(running), queue.wait(time.monotonic()))
                for process, (index, attempt) in list(running.items()):
                    answer = process.answer()
                    if answer is None:
                        continue
                    del running[process]
                    if process.alive:
                        self._idle.append(process)
                    else:
                        process.kill()
                    outcome = settle(index, tasks[index], answer, attempt)
                    if outcome is None:
                        queue.again(index, attempt, time.monotonic())
                    else:
                        yield outcome
        finally:
            for process in running:
                process.kill()

    def close(self) -> None:
        for process in self._idle:
            process.close()
        self._idle = []


def _wait(running: Sequence[GuardedProcess], due: float | None) -> None:
    """Wait until a worker says something or died, a task is due to be tried again, or it is time to look at memory."""
    if running:
        waitables = [one for process in running for one in process.waitables]
        multiprocessing.connection.wait(waitables, TICK if due is None else min(TICK, due))
    elif due is not None:
        time.sleep(due)
