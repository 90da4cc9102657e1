"""Where shards run on a Ray cluster. This is the only file that imports Ray, besides the training group's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from autoclave.errors import MissingDependencyError
from autoclave.pipelines.running.attempts import Answer, Outcome, Queue, Resources, ShardFunction, call, settle
from autoclave.pipelines.running.guards.worker import supervise


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
        """As the interface says; at most two tasks a worker are in flight, so the head node holds little.

        Tasks with limits run in a process of their Ray worker's own, which is watched as the local engine's are.
        """
        queue = Queue(len(tasks))
        running: dict[Any, tuple[int, int]] = {}
        try:
            while queue or running:
                while len(running) < 2 * self.workers and (taken := queue.take(time.monotonic())) is not None:
                    running[self._start(function, tasks[taken[0]], resources)] = taken
                due = queue.wait(time.monotonic())
                if not running:
                    time.sleep(due or 0)
                    continue
                done, _ = self._ray.wait(list(running), num_returns=1, timeout=due)
                for reference in done:
                    index, attempt = running.pop(reference)
                    outcome = settle(index, tasks[index], self._answer(reference), attempt)
                    if outcome is None:
                        queue.again(index, attempt, time.monotonic())
                    else:
                        yield outcome
        finally:
            for reference in running:
                self._ray.cancel(reference, force=True)

    def _start(self, function: ShardFunction, task: Any, resources: Resources) -> Any:
        options = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "max_retries": 0}
        if not resources.limited:
            return self._ray.remote(call).options(**options).remote(function, task)
        payload = self._ray.cloudpickle.dumps((function, task))
        return self._ray.remote(supervise).options(**options).remote(payload, task.seconds, task.memory)

    def _answer(self, reference: Any) -> Answer:
        try:
            answer: Answer = self._ray.get(reference)
            return answer
        except self._ray.exceptions.OutOfMemoryError as error:
            return Answer(None, None, f"out of memory: {_first_line(error)}", "memory")
        except self._ray.exceptions.RayError as error:  # the worker or its node died
            return Answer(None, None, f"{type(error).__name__}: {_first_line(error)}", "died")

    def close(self) -> None:
        if self._started:
            self._ray.shutdown()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
