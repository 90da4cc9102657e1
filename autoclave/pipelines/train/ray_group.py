"""Training on a Ray cluster: one actor a process of the group, started again from the newest checkpoint when one dies.

The actors are the processes that torchrun would start: they get its environment variables, join a gloo or NCCL group,
and run `train_on_shards`. Shards and the folder of checkpoints must be where all machines see them; nothing but the
settings and the result travels through Ray.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoclave.errors import AutoclaveError, MissingDependencyError, RecipeError, RunError
from autoclave.model.training.loop import TrainResult
from autoclave.model.training.metrics import METRICS_FILE, MetricsFile
from autoclave.pipelines.train.run import Report, train_on_shards
from autoclave.pipelines.train.settings import TrainStageSettings

ATTEMPTS = 3
"""Times in a row that the group may die without a step done; progress gives it all of them again."""
PLACEMENT_SECONDS = 120.0
"""How long to wait for the cluster to have room."""


@dataclass(frozen=True)
class _Answer:
    """What a process ends with, as plain data that always pickles."""

    result: TrainResult | None
    error: str | None = None
    details: str = ""
    exit_code: int = 1


class _Process:
    """One process of the group, as a Ray actor."""

    def address(self) -> tuple[str, int]:
        """This node's address and a port that is free there, for the group to meet at."""
        import ray

        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), int(probe.getsockname()[1])

    def train(self, environment: dict[str, str], arguments: dict[str, Any]) -> _Answer:
        """Join the group and train."""
        os.environ |= environment
        try:
            return _Answer(train_on_shards(**arguments))
        except AutoclaveError as error:
            return _Answer(None, str(error), traceback.format_exc(), error.exit_code)
        except Exception:  # whatever it is, it travels as text: not every exception pickles
            return _Answer(None, None, traceback.format_exc())


def train_on_ray(
    shards: str,
    out: str | os.PathLike[str],
    settings: TrainStageSettings,
    *,
    seed: int = 0,
    resume: bool = True,
    progress: Report | None = None,
    message: Callable[[str], None] = lambda _: None,
) -> TrainResult:
    """Train with `settings.workers` processes, `settings.threads` CPUs and `settings.gpus` GPUs each.

    The cluster is the one that Ray is connected to. When a process or its node dies, `message` is told, and all are
    started again and go on from the newest checkpoint. Raises RunError when they die without progress, or what the
    training itself raised.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("ray", "ray", "--engine ray") from error
    metrics = MetricsFile(Path(out) / METRICS_FILE)
    failures, reached = 0, 0
    while True:
        arguments = {"shards_folder": shards, "out": str(out), "settings": settings, "seed": seed, "resume": resume}
        # Ray tells of dead workers on standard output, which is for results.
        with contextlib.redirect_stdout(sys.stderr), _group(ray, settings) as processes:
            answer = _run(ray, processes, arguments, metrics, progress)
        if answer.result is not None:
            return answer.result
        if answer.error is not None:
            raise (RecipeError if answer.exit_code == 2 else RunError)(answer.error)
        step = metrics.last_step()
        failures = 1 if step > reached else failures + 1
        reached = max(step, reached)
        last = answer.details.strip().splitlines()[-1]
        message(f"warning: train: a process ended at step {step} ({last}); all start again from the last checkpoint")
        if failures >= ATTEMPTS:
            raise RunError(f"training on Ray ended {failures} times at step {step} or before; the last time: {last}")
        time.sleep(0.2 * 4 ** (failures - 1))
        resume = True


@contextlib.contextmanager
def _group(ray: Any, settings: TrainStageSettings) -> Any:
    """Actors with their share of the cluster; all are gone when the block ends."""
    needs = {"CPU": float(settings.threads)} | ({"GPU": float(settings.gpus)} if settings.gpus else {})
    place = ray.util.placement_group([needs] * settings.workers, strategy="PACK")
    processes: list[Any] = []
    try:
        if not place.wait(PLACEMENT_SECONDS):
            have = {name: ray.cluster_resources().get(name, 0) for name in needs}
            raise RecipeError(
                f"training: {settings.workers} workers with {needs} each do not fit the cluster, which has {have}"
            )
        actor = ray.remote(_Process)
        for index in range(settings.workers):
            strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(place, index)
            options = {"num_cpus": needs["CPU"], "num_gpus": needs.get("GPU", 0), "scheduling_strategy": strategy}
            processes.append(actor.options(**options).remote())
        yield processes
    finally:
        for process in processes:
            ray.kill(process)
        for process in processes:  # a process that still ran could write into the folder of the next ones
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(process.address.remote(), timeout=30)
        ray.util.remove_placement_group(place)


def _run(
    ray: Any, processes: list[Any], arguments: dict[str, Any], metrics: MetricsFile, progress: Report | None
) -> _Answer:
    """Start all processes; the first one's answer, or that of the first which fails."""
    try:
        host, port = ray.get(processes[0].address.remote())
        pending = {}
        for rank, process in enumerate(processes):
            # Ray shows a process only the GPUs that are its own, so that each one's local rank is 0.
            environment = {"RANK": str(rank), "WORLD_SIZE": str(len(processes)), "LOCAL_RANK": "0"}
            environment |= {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
            pending[process.train.remote(environment, arguments)] = rank
        first = None
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1, timeout=1.0)
            if progress is not None and (line := metrics.last_line()) is not None:
                progress(line)
            for reference in done:
                rank = pending.pop(reference)
                answer: _Answer = ray.get(reference)
                if answer.result is None:
                    return answer
                first = answer if rank == 0 else first
    except ray.exceptions.RayError as error:
        return _Answer(None, None, f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
    assert first is not None
    return first
