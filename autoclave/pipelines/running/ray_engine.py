"""Where shards run on a Ray cluster. This is the only file that imports Ray, besides the training group's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from autoclave.errors import MissingDependencyError
from autoclave.pipelines.running.attempts import Answer, Outcome, Resources, ShardFunction, call, pause, settle


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
                outcome = settle(index, tasks[index], self._answer(reference), attempt)
                if outcome is None:
                    pause(attempt)
                    queue.append((index, attempt + 1))
                else:
                    yield outcome

    def _answer(self, reference: Any) -> Answer:
        try:
            answer: Answer = self._ray.get(reference)
            return answer
        except self._ray.exceptions.RayError as error:  # the worker or its node died
            return Answer(None, None, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")

    def close(self) -> None:
        if self._started:
            self._ray.shutdown()
