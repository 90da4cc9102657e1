"""Commands around models: train, score, generate, convert."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoclave.cli.stages import Engine, Json, Out, Overrides, Seed, Workers
from autoclave.cli.terminal import say, say_json
from autoclave.pipelines.running.guards.printable import printable

if TYPE_CHECKING:
    from autoclave.model.training.loop import TrainResult
    from autoclave.pipelines.train.settings import TrainStageSettings

Checkpoint = Annotated[str, typer.Argument(help="A training folder or a checkpoint folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("train")(train)
    app.command("score")(score)
    app.command("generate")(generate)
    app.command("convert")(convert)


def require_torch(purpose: str) -> None:
    """Raise MissingDependencyError, which names the extra, where torch is not installed."""
    import importlib.util

    from autoclave.errors import MissingDependencyError

    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", "train", purpose)


def train(
    shards: Annotated[
        str, typer.Argument(help="Token shards (output of tokenize), or a YAML file: shards, train, seed.")
    ],
    out: Out,
    preset: Annotated[str | None, typer.Option("--preset", help="tnl-nano, tnl-tiny, tnl-small, tnl-385m, ...")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimizer steps.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the newest checkpoint in --out.")
    ] = True,
    engine: Engine = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Processes that train together, with --engine ray; else the recipe's train.workers.",
        ),
    ] = None,
    overrides: Overrides = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train a TransNormerLLM on token shards. Under torchrun, every process trains its share.

    Example: autoclave train runs/demo/05-tokenize --out runs/model --preset tnl-nano --steps 100
    """
    require_torch("autoclave train")
    from autoclave.cli.progress import TerminalProgress
    from autoclave.model.parallel.parallelize import leave_process_group

    given = {"preset": preset, "steps": steps, "workers": workers}
    folder, settings, seed = training_request(shards, given, overrides or [], seed)
    first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes, one speaks
    with TerminalProgress() as progress:

        def report(line: dict[str, Any]) -> None:
            loss = "not finite, skipped" if line["loss"] is None else f"loss {line['loss']:.3f}"
            note = f"{loss}  {line['tokens_per_second']:,.0f} tokens/s"
            progress.update("train", line["step"], settings.steps, note)

        train_with = trainer(engine, settings, progress.message)
        result = train_with(folder, out, settings, seed=seed, resume=resume, progress=report if first else None)
    leave_process_group()
    if not first:
        return
    if json:
        import msgspec

        say_json(msgspec.json.encode(result))
    else:
        say(f"{result.steps} steps, {result.tokens:,} tokens, loss {result.loss:.4f} nats a token")
        say(f"checkpoint: {result.folder}")


def trainer(engine: str, settings: TrainStageSettings, message: Callable[[str], None]) -> Callable[..., TrainResult]:
    """The function that trains: in this process (one of torchrun's, maybe), or on a Ray cluster, which is joined.

    Raises RecipeError for an unknown engine, or for several workers of which torchrun has started none.
    """
    import functools

    from autoclave.errors import RecipeError
    from autoclave.pipelines.running.engine import make_engine
    from autoclave.pipelines.train.run import train_on_shards

    if engine == "local":
        count = settings.workers
        if count > 1 and "WORLD_SIZE" not in os.environ:
            raise RecipeError(f"{count} workers: run torchrun --nproc-per-node {count} -m autoclave train ...")
        return train_on_shards
    make_engine(engine, settings.workers * settings.threads)
    from autoclave.pipelines.train.ray_group import train_on_ray

    return functools.partial(train_on_ray, message=message)


def training_request(
    argument: str, options: dict[str, Any], overrides: list[str], seed: int
) -> tuple[str, TrainStageSettings, int]:
    """Return (folder of shards, settings, seed) of what was asked for; RecipeError where it is wrong.

    options: settings given as options of their own, None where they were not
    """
    from autoclave.pipelines.running.recipe import TrainingFile, apply_override, convert, read_recipe
    from autoclave.pipelines.train.settings import TrainStageSettings

    asked = TrainingFile(shards=argument, seed=seed)
    if argument.endswith((".yaml", ".yml")):
        document = read_recipe(argument, "a training recipe is a mapping with the keys shards, train and seed")
        asked = convert({"seed": seed} | document, TrainingFile, argument)
    wrapped = {"stages": {"train": dict(asked.train or {})}}
    for override in overrides:
        apply_override(wrapped, f"train.{override.removeprefix('train.')}")
    given = {name: value for name, value in options.items() if value is not None}
    settings = convert(wrapped["stages"]["train"] | given, TrainStageSettings, "train")
    return asked.shards, settings, asked.seed


def score(
    documents: Annotated[str, typer.Argument(help="Token shards, output folder of a stage, or JSONL, Parquet.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Checkpoint folder.")],
    out: Out,
    engine: Engine = "local",
    workers: Workers = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Score every document: NLL, tokens, bytes, bits per byte, in scores/<shard>.parquet.

    Example: autoclave score runs/demo/03-dedup --model runs/demo/06-train --out runs/scores
    """
    require_torch("autoclave score")
    from autoclave.cli.progress import TerminalProgress
    from autoclave.pipelines.running.engine import make_engine
    from autoclave.pipelines.running.recipe import apply_override, convert
    from autoclave.pipelines.score import ScoreSettings, score_folder

    wrapped: dict[str, Any] = {"stages": {"score": {}}}
    for override in overrides or []:
        apply_override(wrapped, f"score.{override.removeprefix('score.')}")
    settings = convert(wrapped["stages"]["score"], ScoreSettings, "score")
    running = make_engine(engine, workers)
    try:
        with TerminalProgress() as progress:
            commits = score_folder(documents, model, out, settings, running, progress=progress)
    finally:
        running.close()
    total = {
        name: sum(commit.counts.get(name, 0) for commit in commits) for name in ("documents_scored", "tokens_scored")
    }
    if json:
        import msgspec

        say_json(msgspec.json.encode(total | {"folder": out}))
    else:
        say(f"{total['documents_scored']:,} documents, {total['tokens_scored']:,} tokens: {out}/scores/")


def generate(
    checkpoint: Checkpoint,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Text to go on from; - reads standard input.")],
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", "-n", min=1)] = 128,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0: always the likeliest token.")] = 0.8,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="0: all tokens.")] = 0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0)] = 0.95,
    min_p: Annotated[float, typer.Option("--min-p", min=0.0, max=1.0)] = 0.0,
    repetition_penalty: Annotated[float, typer.Option("--repetition-penalty", min=0.1)] = 1.0,
    seed: Seed = 0,
) -> None:
    """Continue a text, streaming, in constant time and memory a token.

    Example: autoclave generate runs/demo/06-train --prompt "The server"
    """
    require_torch("autoclave generate")
    from autoclave.errors import InputError
    from autoclave.model.devices import resolve_device
    from autoclave.model.formats.checkpoint import TOKENIZER_FILE, checkpoint_folder, load_model
    from autoclave.model.inference.generation import SamplingSettings, stream
    from autoclave.tokenize.encoding import Encoder

    folder = checkpoint_folder(checkpoint)
    if not (folder / TOKENIZER_FILE).is_file():
        raise InputError(f"{folder}: has no {TOKENIZER_FILE}; copy the one that the model was trained with")
    encoder = Encoder.open(str(folder / TOKENIZER_FILE))
    model = load_model(folder, device=str(resolve_device("auto")))
    if encoder.vocabulary_size > model.config.vocabulary_size:
        raise InputError(
            f"{folder / TOKENIZER_FILE}: {encoder.vocabulary_size} tokens, of which the model knows"
            f" {model.config.vocabulary_size}; copy the one that the model was trained with"
        )
    text = sys.stdin.read() if prompt == "-" else prompt
    settings = SamplingSettings(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    _, ids = encoder.encode([text])
    produced: list[int] = []
    shown = ""
    write_text(text)
    for step in stream(model, [[encoder.bos_id, *ids.tolist()]], settings):
        produced += [token for token in step if token is not None and token != encoder.eos_id]
        whole = encoder.decode(produced)
        if not whole.endswith("�"):  # an unfinished character waits for its other bytes
            write_text(whole[len(shown) :])
            shown = whole
    write_text("\n")


def write_text(text: str) -> None:
    """Write a piece of generated text: to a file or a pipe as it is, to a terminal without what it would obey."""
    typer.echo(printable(text) if sys.stdout.isatty() else text, nl=False)


def convert(
    source: Annotated[str, typer.Argument(help="A released TransNormerLLM folder, or a checkpoint of ours.")],
    out: Out,
    to: Annotated[
        str, typer.Option("--to", help="autoclave: from the release to ours; released, huggingface: from ours.")
    ] = "autoclave",
) -> None:
    """Convert checkpoints to and from the published names, and to Hugging Face transformers, bit for bit.

    Example: autoclave convert runs/demo/06-train --to released --out runs/released
    """
    require_torch("autoclave convert")
    import importlib.util

    from autoclave.errors import MissingDependencyError
    from autoclave.model.formats.convert import convert_from_released, convert_to_released

    if to == "autoclave":
        convert_from_released(source, out)
    elif to == "released":
        convert_to_released(source, out)
    elif to == "huggingface":
        if importlib.util.find_spec("transformers") is None:
            raise MissingDependencyError("transformers", "hf", "autoclave convert --to huggingface")
        from autoclave.model.formats.huggingface import to_huggingface

        to_huggingface(source, out)
    else:
        raise typer.BadParameter(f"--to is autoclave, released or huggingface, not {to}")
    say(f"checkpoint: {out}")
