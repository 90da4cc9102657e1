"""Self-cleaning put to the proof: does it find what is bad, and is the next model better for it?

    python -m benchmarks.selfclean prepare --out .cache/selfclean.parquet              # minutes on one core
    python -m benchmarks.selfclean run .cache/selfclean.parquet --out OUT              # one GPU, ten minutes
    python -m benchmarks.selfclean run .cache/toy.parquet --out OUT --size nano --seeds 2   # toy size, CPU
    python -m benchmarks.selfclean decide OUT/scored.parquet      # what each decision drops, and of a clean corpus

`prepare` rebuilds the crawl of the experiment from the labelled sets (--data) and needs the text libraries; `run` needs
torch alone: it scores the crawl (cross-fitted, single, trusted, early), then trains the next model on each variant,
most important first, until --minutes are over, then writes detection.json and detection.md. Trainings that are done
stand in next_model.json, the table of them in next_model.md. Same file, seed and device: same table of scores.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from benchmarks.selfclean.models import SIZES, Size, scoring_speed
from benchmarks.selfclean.report import detection, detection_markdown, next_model_markdown, summary
from benchmarks.selfclean.variants import STRATA, VARIANTS, bad_rows, with_derived


def prepare(arguments: argparse.Namespace) -> None:
    from benchmarks.data import DATA
    from benchmarks.selfclean.prepare import prepare as build

    build(
        arguments.data or DATA,
        arguments.out,
        arguments.documents,
        arguments.vocabulary,
        arguments.seed,
        arguments.order,
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


def chosen_size(arguments: argparse.Namespace) -> Size:
    fields = dict(SIZES[arguments.size].__dict__)
    if arguments.tokens:
        fields["tokens"] = arguments.tokens
    return Size(**fields)


def run(arguments: argparse.Namespace) -> None:
    from benchmarks.selfclean.next_model import all_jobs, run_jobs
    from benchmarks.selfclean.table import score_table

    begun = time.monotonic()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    size = chosen_size(arguments)
    speed = scoring_speed(size.device, 6_000_000 if size.device == "cuda" else 6_000)
    print(f"tnl-small, tokens a second: {json.dumps(speed)}", flush=True)
    (out / "speed.json").write_text(json.dumps({**speed, "device": size.device, "torch": torch.__version__}))
    scored_file = arguments.scored or out / "scored.parquet"
    if not scored_file.exists():
        prepared = pq.read_table(arguments.prepared)
        crawl = prepared.filter(pc.invert(prepared.column("held_out")))
        scored = score_table(crawl, size, int(prepared.schema.metadata[b"vocabulary"]), arguments.seed)
        pq.write_table(_lighter(scored), scored_file, compression="zstd")
    print(f"scored after {time.monotonic() - begun:.0f} s", flush=True)
    jobs = all_jobs(arguments.prepared, scored_file, size, arguments.seeds)
    results = run_jobs(jobs, out, arguments.workers, begun + 60 * arguments.minutes)
    table = next_model_markdown(summary(results))
    (out / "next_model.md").write_text(table)
    print(table, flush=True)
    detect(scored_file, out)


def detect(scored_file: Path, out: Path) -> None:
    """Write what each score finds, and print it: last, since no GPU is wanted for it."""
    found = detection(pq.read_table(scored_file))
    (out / "detection.json").write_text(json.dumps(found, indent=1))
    (out / "detection.md").write_text(detection_markdown(found))
    print(detection_markdown(found), flush=True)


def _lighter(scored: pa.Table) -> pa.Table:
    """Without tokens, and hidden states projected to 16 dimensions, so that the table travels."""
    hidden = scored.column("pooled_hidden").combine_chunks()
    width = hidden.type.list_size
    values = hidden.values.to_numpy().reshape(-1, width)
    projected = values @ np.random.default_rng(0).normal(size=(width, 16)).astype(np.float32)
    light = scored.drop_columns(["tokens", "pooled_hidden"])
    return light.append_column("pooled_hidden", pa.FixedSizeListArray.from_arrays(pa.array(projected.ravel()), 16))


def decide(arguments: argparse.Namespace) -> None:
    """Print what each decision drops; then decide on the good documents alone: whatever is dropped there is lost."""
    from autoclave.cleaning.selfclean.decisions import Rules, decide_table

    table = with_derived(pq.read_table(arguments.scored))
    bad = bad_rows(table)
    domains = np.array(table.column("domain").to_pylist())
    for name, keep in VARIANTS.items():
        dropped = ~keep(table, np.random.default_rng(0))
        most = max(float(dropped[(domains == one) & ~bad].mean()) for one in np.unique(domains[~bad]))
        print(
            f"{name:40} drops {dropped.mean():6.1%}, finds {dropped[bad].mean():6.1%} of the bad, loses "
            f"{dropped[~bad].mean():6.1%} of the good, at most {most:.0%} of a domain's"
        )
    good = table.filter(pa.array(~bad))
    domain = np.array(good.column("domain").to_pylist())
    for method in ("cross-fit", "trusted", "kenlm", "combined"):
        lost = decide_table(good, Rules(method=method, strata=STRATA))[1].verdict != 0
        worst = {str(one): round(float(lost[domain == one].mean()), 3) for one in np.unique(domain)}
        print(f"{method:10} loses {lost.mean():.2%} of {good.num_rows:,} good documents; by domain {worst}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("prepare")
    one.add_argument(
        "--data", type=Path, help="folder of the labelled sets (default: AUTOCLAVE_DATA, or ../shared/data)"
    )
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--documents", type=int, default=25_330)
    one.add_argument("--vocabulary", type=int, default=16_384)
    one.add_argument("--order", type=int, default=5, help="of the n-gram model")
    one.add_argument("--seed", type=int, default=1)
    one.set_defaults(run=prepare)
    two = commands.add_parser("run")
    two.add_argument("prepared", type=Path)
    two.add_argument("--out", type=Path, required=True)
    two.add_argument("--size", choices=SIZES, default="gpu")
    two.add_argument("--tokens", type=int, help="of each training, in place of the size's own")
    two.add_argument("--scored", type=Path, help="a table of scores to take in place of making one")
    two.add_argument("--seeds", type=int, default=5)
    two.add_argument("--workers", type=int, default=1, help="trainings at a time")
    two.add_argument("--minutes", type=float, default=9)
    two.add_argument("--seed", type=int, default=1)
    two.set_defaults(run=run)
    three = commands.add_parser("decide")
    three.add_argument("scored", type=Path)
    three.set_defaults(run=decide)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
