"""The training loop: one CPU, one GPU, or a process group; exact to the bit after a kill and a resume on the CPU."""

from __future__ import annotations

import gc
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor

from autoclave.corpus.checksums import check
from autoclave.errors import CheckpointError, DamageError, RunError
from autoclave.model.config import ModelConfig
from autoclave.model.devices import cpu_threads, resolve_device
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.parallel.parallelize import World, keeps_gathered, parallelise
from autoclave.model.training.divergence import weights_are_finite, why_diverged
from autoclave.model.training.identity import (
    Data,
    describe,
    differences,
    identity_fingerprint,
    learning_rate_jump,
)
from autoclave.model.training.metrics import METRICS_FILE, MetricsFile, device_memory, peak_flops, peak_memory
from autoclave.model.training.optimizer import (
    guarded_step,
    hand_over_gradients,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from autoclave.model.training.restoring import newest_whole, pieces_to_write, restore
from autoclave.model.training.saving import CheckpointSaver, remove_partial_checkpoints
from autoclave.model.training.settings import TrainSettings
from autoclave.model.training.sharded import CheckpointReader
from autoclave.model.training.tensorboard import append_event, begin_events
from autoclave.model.transnormer import TransNormerLLM

_REMEDY = "lower the learning rate, or look at the data of these steps; earlier checkpoints stay as they are"


class TokenBatch(Protocol):
    """inputs, targets: int64 [rows, length], targets -100 where ignored; cu_seqlens: int32, over the rows laid end
    to end, with a boundary at every document start and at every row start."""

    @property
    def inputs(self) -> np.ndarray: ...
    @property
    def targets(self) -> np.ndarray: ...
    @property
    def cu_seqlens(self) -> np.ndarray: ...


class Loader(Protocol):
    """Batches as a pure function of the step: that is what makes resuming exact."""

    def batch(self, step: int) -> TokenBatch:
        """The batch of this 0-based step."""
        ...


class TrainResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished run reports: its folder (a checkpoint), steps, target tokens, last loss, skipped updates."""

    folder: str
    steps: int
    tokens: int
    loss: float
    skipped: int


def train(
    config: ModelConfig,
    settings: TrainSettings,
    loader: Loader,
    folder: str | Path,
    *,
    tokenizer: Path | None = None,
    resume: bool = True,
    data_fingerprint: Data = "",
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> TrainResult:
    """Train and leave a checkpoint in `folder`, with `metrics.jsonl` (one line a step).

    resume: go on from the newest checkpoint in `folder`; without one, or with resume=False, start anew.
    data_fingerprint: names the loader's data; a checkpoint of other data or settings is refused.
    Raises CheckpointError for a checkpoint that does not fit, RunError for a run that diverges.
    """
    with cpu_threads(settings.threads):
        trainer = Trainer(config, settings, loader, Path(folder), tokenizer, data_fingerprint)
        try:
            trainer.start(resume)
            while trainer.state.step < settings.steps:
                line = trainer.step()
                if progress is not None:
                    progress(line)
                every = settings.checkpoint_every
                if every and trainer.state.step % every == 0 and trainer.state.step < settings.steps:
                    trainer.save()
            return trainer.finish()
        finally:
            trainer.close()


class Trainer:
    """One run's model, optimizer and counters."""

    def __init__(
        self,
        config: ModelConfig,
        settings: TrainSettings,
        loader: Loader,
        folder: Path,
        tokenizer: Path | None,
        data_fingerprint: Data,
    ) -> None:
        self.config, self.settings, self.loader = config, settings, loader
        self.folder = folder
        kind = resolve_device(settings.device).type
        self.world = World.current(settings.tensor_parallel, settings.sequence_parallel, kind)
        self.device = resolve_device(settings.device)  # only now does this process have its own GPU
        self.identity = describe(config, settings, data_fingerprint)
        self.fingerprint = identity_fingerprint(self.identity)
        self.state = checkpoints.TrainingState(step=0, fingerprint=self.fingerprint, settings=self.identity)
        self.metrics = MetricsFile(folder / METRICS_FILE)
        keep = settings.keep_checkpoints
        self.saver = CheckpointSaver(folder, self.world.rank, self.world.size, keep, tokenizer)
        self.loss = math.nan
        self.skipped_in_a_row = 0
        self.ahead: tuple[int, list[TokenBatch]] | None = None
        on_cuda = self.device.type == "cuda"
        self.bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and on_cuda)
        # FSDP gathers matrices in bfloat16 itself; autocast would keep a second copy of the whole model.
        enabled = self.bfloat16 and self.world.shard_size == 1
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)
        self.peak = peak_flops(self.device)

    def start(self, resume: bool) -> None:
        """Build the model, from the newest checkpoint if there is one and `resume` is set."""
        if not resume and self.world.rank == 0:
            shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        if self.world.rank == 0:
            remove_partial_checkpoints(self.folder)
        self.world.barrier()
        latest = newest_whole(self.world, self.folder) if resume else None
        model = TransNormerLLM(self.config)
        if latest is None:
            model.initialise(self.settings.seed)
        else:
            self.state = self.read_state(latest)
        if self.world.shard_size == 1:  # else FSDP moves a layer at a time and keeps its share only
            model = model.to(self.device)
        self.model = parallelise(
            model,
            self.world,
            compile_layers=self.settings.compile,
            activation_checkpointing=self.settings.activation_checkpointing,
            bfloat16=self.bfloat16,
            keep_gathered=keeps_gathered(self.config, self.world.tensor_size, device_memory(self.device)),
        )
        self.optimizer = make_optimizer(self.model, self.settings.optimizer)
        if latest is not None:
            updated = self.state.step > self.state.skipped
            restore(self.world, self.model, self.optimizer, CheckpointReader(latest), updated=updated)
        if self.world.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.open_metrics()
            if self.settings.tensorboard:
                begin_events(self.folder, self.metrics.read())
        if self.device.type == "cuda":
            # A full collection goes over every object of all libraries, a tenth of a second in which nothing is
            # launched; of several processes all wait for the one that it falls on. What is there now stays anyway.
            gc.collect()
            gc.freeze()
        self.clock = time.perf_counter()

    def close(self) -> None:
        """End the saver's work, and let the garbage collector go over everything again."""
        self.saver.close()
        gc.unfreeze()

    def open_metrics(self) -> None:
        """Keep the lines up to the step where training goes on; a model published earlier is not the newest then."""
        try:
            check(str(self.metrics.path))
        except DamageError as error:
            checkpoints.warn(f"{error}: the lines that cannot be read are lost, the model is not touched")
            checkpoints.unpublish(self.folder)
        if self.state.step < self.settings.steps:
            checkpoints.unpublish(self.folder)
        self.metrics.keep_until(self.state.step)

    def read_state(self, folder: Path) -> checkpoints.TrainingState:
        """The counters of a checkpoint; CheckpointError, which names the settings, where it is another run's.

        Settings that may differ are told, and a learning rate that jumps by them.
        """
        state = checkpoints.read_training_state(folder)
        if state.fingerprint != self.fingerprint:
            found = "; ".join(differences(state.settings, self.identity, free=False)) or "other settings"
            raise CheckpointError(
                f"{folder}: was trained with other settings, model or data ({found}); use another folder, or start anew"
                " there (--no-resume)"
            )
        told = differences(state.settings, self.identity, free=True)
        jump = learning_rate_jump(state.settings, self.settings, state.step)
        if told and self.world.rank == 0:
            checkpoints.warn("; ".join([f"{folder}: goes on with {', '.join(told)}", *([jump] if jump else [])]))
        return msgspec.structs.replace(state, settings=self.identity)

    def step(self) -> dict[str, Any]:
        """One optimizer step over `accumulation` batches; returns its metrics line."""
        number = self.state.step
        rate = learning_rate(self.settings.optimizer, number, self.settings.steps)
        set_learning_rate(self.optimizer, rate)
        accumulation = self.settings.accumulation
        batches = self.batches(number)
        tokens = sum(int((batch.targets != -100).sum()) for batch in batches)
        total = torch.zeros((), device=self.device)
        for index, batch in enumerate(batches):
            self.world.synchronise_gradients(self.model, index == accumulation - 1)
            total += self.backward(batch, max(tokens, 1))
        self.world.sum_replicated_gradients(self.model)
        hand_over_gradients(self.model)
        mean = self.world.sum_over_tokens(total) / max(tokens, 1)
        gradient_norm = self.world.gradient_norm(self.model)
        guarded_step(self.optimizer, gradient_norm, mean, self.settings.optimizer.clip_norm)
        self.model.zero_grad(set_to_none=True)
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda" and number + 1 < self.settings.steps:
            self.ahead = (number + 1, self.batches(number + 1))  # made while the GPU still computes
        # Read only now: on a GPU the update is under way already.
        loss, norm = float(mean), float(gradient_norm)
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            self.loss, self.skipped_in_a_row = loss, 0
        else:
            self.skip(number)
        self.state.step, self.state.tokens = number + 1, self.state.tokens + tokens
        return self.report(loss, rate, norm, sum(batch.inputs.size for batch in batches), not finite)

    def batches(self, step: int) -> list[TokenBatch]:
        """The batches of this 0-based step, one for each of its backward passes."""
        if self.ahead is not None and self.ahead[0] == step:
            return self.ahead[1]
        accumulation = self.settings.accumulation
        return [self.loader.batch(step * accumulation + index) for index in range(accumulation)]

    def backward(self, batch: TokenBatch, tokens: int) -> Tensor:
        """Gradients of one batch's share of the mean loss; returns its summed loss in nats (float32, shape [])."""
        rows = self.world.rows_of(batch.inputs, batch.targets, batch.cu_seqlens)
        inputs, targets, boundaries, carry = self.world.piece_of(*rows)
        with self.autocast:
            losses = self.model(
                torch.from_numpy(inputs)[None].to(self.device, non_blocking=True),
                targets=torch.from_numpy(targets)[None].to(self.device, non_blocking=True),
                cu_seqlens=torch.from_numpy(boundaries).to(self.device, non_blocking=True),
                carry=carry,
                z_loss=self.settings.z_loss,
            ).losses
        # FSDP averages over its ranks; the mean over all tokens is wanted.
        (losses * (self.world.shard_size / tokens)).backward()
        return losses.detach().float()

    def skip(self, number: int) -> None:
        """Count an update that was not finite; too many in a row end the run."""
        self.state.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= self.settings.max_skipped:
            raise RunError(
                f"training diverged: loss or gradient not finite in {self.skipped_in_a_row} steps up to step"
                f" {number + 1}; {_REMEDY}"
            )

    def report(self, loss: float, rate: float, norm: float, tokens: int, skipped: bool) -> dict[str, Any]:
        """Write and return the metrics line of the step just done."""
        now = time.perf_counter()
        speed, self.clock = tokens / (now - self.clock), now
        line: dict[str, Any] = {
            "step": self.state.step,
            "loss": loss if math.isfinite(loss) else None,
            "lr": rate,
            "grad_norm": norm if math.isfinite(norm) else None,
            "tokens": self.state.tokens,
            "tokens_per_second": round(speed, 1),
        }
        if self.peak is not None:
            line["mfu"] = round(speed * self.config.training_flops_per_token() / (self.peak * self.world.size), 4)
        line["memory_bytes"] = peak_memory(self.device)
        if skipped:
            line["skipped"] = True
        if self.world.rank == 0:
            self.metrics.append(line)
            if self.settings.tensorboard:
                append_event(self.folder, line)
        return line

    def save(self) -> None:
        """Begin to write a checkpoint of the current step; training may go on at once.

        None is written while updates are skipped: the last good ones must stay. Raises RunError where weights are not
        finite.
        """
        if not weights_are_finite(self.world, self.model):
            raise RunError(f"training diverged: weights are not finite at step {self.state.step}; {_REMEDY}")
        if self.skipped_in_a_row > 1:
            return
        pieces = pieces_to_write(self.world, self.model, self.optimizer)
        self.saver.save(self.config, pieces, self.state)

    def finish(self) -> TrainResult:
        """Write the last checkpoint if it is not there yet, and publish it at the top of the folder.

        Raises RunError, and publishes nothing, where the run has diverged.
        """
        self.saver.wait()
        if math.isnan(self.loss):
            self.loss = self.metrics.last_loss()
        vocabulary, steps = self.config.vocabulary_size, self.state.step
        why = why_diverged(self.loss, vocabulary, steps, self.state.skipped, self.skipped_in_a_row)
        if why is not None:
            raise RunError(f"training diverged: {why}; {_REMEDY}")
        self.world.barrier()
        latest = checkpoints.latest_checkpoint(self.folder)
        if latest is None or checkpoints.read_training_state(latest).step != self.state.step:
            self.world.barrier()
            self.save()
            self.saver.wait()
            self.world.barrier()
            latest = checkpoints.latest_checkpoint(self.folder)
        if self.world.rank == 0 and latest is not None:
            checkpoints.publish(latest, self.folder, self.state.step)
            remove_partial_checkpoints(self.folder)  # damaged ones that were set aside
        self.world.barrier()
        return TrainResult(
            folder=str(self.folder),
            steps=self.state.step,
            tokens=self.state.tokens,
            loss=self.loss,
            skipped=self.state.skipped,
        )


def resume_differences(folder: Path, config: ModelConfig, settings: TrainSettings, data: Data) -> list[str] | None:
    """What keeps a run from going on from its newest checkpoint, by name: nothing (empty); None where there is none."""
    identity = describe(config, settings, data)
    for checkpoint in checkpoints.newest_first(folder):
        try:
            state = checkpoints.read_training_state(checkpoint)
        except (CheckpointError, DamageError):
            continue  # the training itself will say so, and go on from an earlier one
        if state.fingerprint == identity_fingerprint(identity):
            return []
        return differences(state.settings, identity, free=False) or ["other settings"]
    return None if checkpoints.latest_checkpoint(folder) is None else []
