"""`python -m autoclave.pipelines.<stage> --recipe R`: one stage of a recipe, as `ray job submit` calls it."""

from __future__ import annotations

import argparse
import os
import sys

from autoclave.corpus.machine import machine_error
from autoclave.errors import AutoclaveError
from autoclave.pipelines.running.engine import make_engine
from autoclave.pipelines.running.guards.printable import printable
from autoclave.pipelines.running.recipe import load_recipe
from autoclave.pipelines.running.run import run_recipe
from autoclave.pipelines.running.stage import Silent


def main(stage: str) -> None:
    """Run the stages of that kind of a recipe and exit with Autoclave's codes (0 done, 1 failed, 2 wrong request)."""
    parser = argparse.ArgumentParser(
        prog=f"python -m autoclave.pipelines.{stage}", description=f"Run {stage} of a recipe."
    )
    parser.add_argument("--recipe", required=True, help="the recipe's YAML file")
    parser.add_argument("--run-dir", help="run directory (default: runs/<name of the recipe>)")
    parser.add_argument("--engine", choices=["local", "ray"], help="default: ray inside a Ray job, otherwise local")
    parser.add_argument("--workers", type=int, help="shards at a time (default: all cores)")
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.KEY=VALUE", dest="overrides")
    parser.add_argument("--yes", action="store_true", help="train a model anew that is there")
    arguments = parser.parse_args()
    try:
        recipe = load_recipe(arguments.recipe, arguments.overrides)
        labels = [planned.label for planned in recipe.stages if planned.stage.name == stage]
        engine = make_engine(
            arguments.engine or ("ray" if os.environ.get("RAY_ADDRESS") else "local"), arguments.workers
        )
        try:
            summary = run_recipe(
                recipe,
                arguments.run_dir or f"runs/{recipe.name}",
                engine,
                stages=labels or [stage],
                progress=Lines(),
                yes=arguments.yes,
            )
        finally:
            engine.close()
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        known = error if isinstance(error, AutoclaveError) else machine_error(error, named=True)
        if known is None:
            raise
        print(f"error: {printable(str(known), lines=False)}", file=sys.stderr)
        sys.exit(known.exit_code)
    for row in (row for row in summary.stages if row.label in labels):
        counts = f"{row.kept} kept, {row.dropped} dropped, {row.errors} errors"
        print(f"{row.label}: {row.documents_in} documents in, {counts}")
        if row.loss is not None:
            print(f"error: {row.label}: {printable(row.loss, lines=False)}", file=sys.stderr)
            sys.exit(1)


class Lines(Silent):
    """Progress as plain lines, for job logs."""

    def end(self, name: str) -> None:
        print(f"{name}: done", flush=True)

    def message(self, text: str) -> None:
        print(printable(text, lines=False), flush=True)
