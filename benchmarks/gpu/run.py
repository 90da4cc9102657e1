"""A real run on one GPU: train on the token shards that the pipeline made, then one self-cleaning round.

    python -m benchmarks.gpu.run RUN --out OUT --preset tnl-385m --minutes 4

RUN is a run directory with a dedup and a tokenize stage. Writes metrics.jsonl of the training, decision and losses of
the round to OUT, prints short tables last. Needs no network; the self-cleaning round measures
texts, and so needs the base dependencies.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from autoclave.corpus.storage import Folder
from autoclave.model.config import preset
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.funnel import stage_folders
from autoclave.pipelines.running.stage import StageContext, document_shards
from autoclave.pipelines.selfclean.settings import EvaluationModel, SelfcleanSettings
from autoclave.pipelines.selfclean.stage import run_selfclean
from autoclave.pipelines.train.run import train_on_shards
from autoclave.pipelines.train.settings import TrainStageSettings


def find_stage(run: str, kind: str) -> Folder:
    return next(folder for folder in stage_folders(Folder(run)) if folder.url.endswith(kind))


def training(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train until the minutes are over; returns first and last losses and the speed of the middle of the run."""
    settings = TrainStageSettings(
        preset=arguments.preset,
        steps=arguments.steps,
        sequence_length=arguments.sequence_length,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        warmup_steps=max(1, arguments.steps // 20),
        compile=arguments.compile,
        checkpoint_every=0,
    )
    lines: list[dict[str, Any]] = []
    started = time.monotonic()

    def report(line: dict[str, Any]) -> None:
        lines.append(line)
        if len(lines) % 20 == 1:
            print(json.dumps(line), flush=True)
        if time.monotonic() - started > 60 * arguments.minutes:
            raise TimeoutError

    work = Path(arguments.out) / "training"
    try:
        train_on_shards(find_stage(arguments.run, "tokenize").url, work, settings, progress=report)
    except TimeoutError:
        print(f"stopped after {arguments.minutes} minutes")
    middle = lines[len(lines) // 4 :]
    for heavy in ("checkpoints", "model.safetensors", "training_state.safetensors"):
        path = work / heavy
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    speeds = sorted(line["tokens_per_second"] for line in middle)
    return {
        "parameters": sum(preset(arguments.preset).parameter_count().values()),
        "steps": len(lines),
        "tokens": lines[-1]["tokens"],
        "first_loss": lines[0]["loss"],
        "last_loss": sum(line["loss"] for line in lines[-10:]) / len(lines[-10:]),
        "tokens_per_second": speeds[len(speeds) // 2],
        "mfu": sorted(line.get("mfu", 0) for line in middle)[len(middle) // 2],
    }


def self_cleaning(arguments: argparse.Namespace) -> dict[str, Any]:
    """One cross-fitted round on the GPU; returns losses, what was dropped and the scoring speed."""
    model = EvaluationModel(
        preset=arguments.evaluation_preset,
        steps=arguments.evaluation_steps,
        batch_size=32,
        sequence_length=1024,
        learning_rate=1e-3,
        device="cuda",
    )
    settings = SelfcleanSettings(
        model=model, tokenizer=find_stage(arguments.run, "tokenize").path("tokens/tokenizer.json")
    )
    source = find_stage(arguments.run, "dedup")
    folder = Folder(str(Path(arguments.out) / "selfclean"))
    context = StageContext("selfclean", folder, settings, 1, InProcessEngine(), inputs=document_shards(source))
    started = time.monotonic()
    run_selfclean(context)
    seconds = time.monotonic() - started
    commits = [
        json.loads(folder.read_bytes(f"phases/round-1/scores/{name}"))
        for name in folder.child("phases/round-1/scores").files("commits/*.json")
    ]
    tokens, scoring = sum(c["counts"]["tokens"] for c in commits), sum(c["seconds"] for c in commits)
    result = {
        "seconds": round(seconds, 1),
        "documents": sum(c.documents_in for c in context.commits),
        "dropped": sum(c.dropped for c in context.commits),
        "scored_tokens": tokens,
        "scored_tokens_per_second": round(tokens / scoring),
        **context.results,
    }
    shutil.copy(Path(folder.root) / "phases/round-1/decision.json", Path(arguments.out) / "decision.json")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--out", required=True)
    parser.add_argument("--preset", default="tnl-385m")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--sequence-length", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--evaluation-preset", default="tnl-small")
    parser.add_argument("--evaluation-steps", type=int, default=300)
    arguments = parser.parse_args()
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    results = {"training": training(arguments), "self_cleaning": self_cleaning(arguments)}
    (Path(arguments.out) / "gpu_run.json").write_text(json.dumps(results, indent=1))
    for name, figures in results.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:<44} {value:,.4f}" if isinstance(value, float) else f"  {key:<44} {value:,}")


if __name__ == "__main__":
    main()
