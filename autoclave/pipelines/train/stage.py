"""The training stage: token shards in, a TransNormerLLM checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoclave.errors import RecipeError
from autoclave.model.training.identity import FREE
from autoclave.model.training.metrics import METRICS_FILE, MetricsFile
from autoclave.pipelines.running.engine import Engine
from autoclave.pipelines.running.guards.identity import holds_model
from autoclave.pipelines.running.stage import Stage, StageContext
from autoclave.pipelines.train.ray_group import train_on_ray
from autoclave.pipelines.train.run import changed_since, train_on_shards
from autoclave.pipelines.train.settings import TrainStageSettings

PLACES = frozenset({"workers", "gpus"})
"""Settings of the stage alone that say where training runs, and may change like those of the loop."""


def check_engine(settings: TrainStageSettings, engine: Engine) -> None:
    """Raise RecipeError where the recipe wants more processes than the engine starts."""
    if engine.name != "ray" and settings.workers > 1:
        raise RecipeError(
            f"train.workers {settings.workers}: needs --engine ray; or set it to 1, or train the token shards with "
            f"torchrun --nproc-per-node {settings.workers} -m autoclave train"
        )


def run_train(context: StageContext[TrainStageSettings]) -> None:
    """Train on the shards of the stage before; resumes at the newest checkpoint, restarts where they changed.

    The local engine trains in this process; Ray trains on `workers` actors with `gpus` GPUs each.
    """
    settings = context.settings
    if context.previous is None:
        raise RecipeError(f"{context.name}: needs the output of a tokenize stage")
    if not context.folder.is_local:
        raise RecipeError(f"{context.name}: writes checkpoints to a local folder, not to {context.folder.url}")

    def report(line: dict[str, Any]) -> None:
        shown = "not finite, skipped" if line["loss"] is None else f"loss {line['loss']:.3f}"
        note = f"{shown}  {line['tokens_per_second']:,.0f} tokens/s"
        context.progress.update(context.name, line["step"], settings.steps, note)

    # absolute paths: Ray's processes start in a folder of their own
    tokens = context.previous.root if context.previous.is_local else context.previous.url
    out = context.folder.root
    changed = changed_since(tokens, out, settings, seed=context.seed)
    resume = not changed
    why = "; ".join(changed or ())
    if (changed or changed is None) and holds_model(context.folder):
        lost = why if changed else "it has no checkpoint from which training could go on"
        context.permit(f"the model in {context.folder.url} would be replaced: {lost}")
    if changed:
        context.progress.message(f"warning: {context.name}: training starts anew, since {why}")
    context.progress.begin(context.name, settings.steps)
    if context.engine.name == "ray":
        message = context.progress.message
        train_on_ray(tokens, out, settings, seed=context.seed, resume=resume, progress=report, message=message)
    else:
        train_on_shards(tokens, out, settings, seed=context.seed, resume=resume, progress=report)
    context.progress.end(context.name)
    lines = MetricsFile(Path(out) / METRICS_FILE).read()
    losses = [line["loss"] for line in lines if line["loss"] is not None]
    if losses:
        context.progress.message(f"{context.name}: loss {losses[0]:.3f} -> {losses[-1]:.3f} nats a token")
        context.results |= {"training_loss": losses[-1], "training_tokens": float(lines[-1]["tokens"])}


STAGE = Stage(
    "train", TrainStageSettings, run_train, reads="tokens", writes="model", check=check_engine, free=FREE | PLACES
)
