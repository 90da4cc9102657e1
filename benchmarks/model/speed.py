"""How fast the model trains, scores and decodes.

    python -m benchmarks.model.speed                  this CPU, tnl-tiny (beside a Transformer: speed_beside_llama)
    python -m benchmarks.model.speed --gpu            one GPU, 385M: training step at 2K to 64K, scoring, decoding
    python -m benchmarks.model.speed --gpu --profile  also where a training step's time goes

Prints each row as it is measured and a short table last; with $OUT set, writes model.json (and profile.txt) there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from autoclave.model.config import preset
from benchmarks.model.measurements import decoding_rows, profile_step, scoring_row, training_rows


def environment(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {"device": name, "torch": torch.__version__, "python": platform.python_version()}


def measure(arguments: argparse.Namespace, device: torch.device) -> Iterator[list[dict[str, Any]]]:
    """The rows of one part after the other; torch.compile last, since it takes longest to start."""
    on_gpu = device.type == "cuda"
    config = preset(arguments.preset or ("tnl-385m" if on_gpu else "tnl-tiny"))
    lengths = arguments.lengths or ([2048, 4096, 8192, 16_384, 32_768, 65_536] if on_gpu else [512, 2048, 4096])
    tokens = arguments.tokens or (32_768 if on_gpu else 4096)
    if "train" in arguments.parts:
        yield training_rows(config, device, lengths, tokens, "eager", repeats=10 if on_gpu else 3)
    if "score" in arguments.parts:
        for pack in [16_384, 65_536] if on_gpu else [2048]:
            row = scoring_row(config, device, 4000 if on_gpu else 60, pack)
            print(row, flush=True)
            yield [row]
    if "decode" in arguments.parts:
        yield decoding_rows(config, device, [1, 8, 32] if on_gpu else [1, 8], repeats=50)
    if "compile" in arguments.parts and on_gpu:
        yield training_rows(config, device, [lengths[0], lengths[-1]], tokens, "compile", repeats=10)


def table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        fields = " ".join(f"{key}={value}" for key, value in row.items() if key != "what" and value is not None)
        lines.append(f"{row['what']:<11} {fields}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="measure on the GPU")
    parser.add_argument("--preset", help="another model")
    parser.add_argument("--tokens", type=int, help="tokens a training step")
    parser.add_argument("--lengths", type=int, nargs="+", help="tokens a row of the training step")
    parser.add_argument("--parts", default="train,score,decode,compile", type=lambda text: text.split(","))
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    if not arguments.gpu:
        torch.set_num_threads(1)
    device = torch.device("cuda", 0) if arguments.gpu else torch.device("cpu")
    report: dict[str, Any] = environment(device) | {"rows": []}
    out = Path(os.environ["OUT"]) if os.environ.get("OUT") else None
    for rows in measure(arguments, device):
        report["rows"] += rows
        if out is not None:
            (out / "model.json").write_text(json.dumps(report, indent=1))
    if arguments.profile:
        length, tokens = (2048, arguments.tokens or 32_768) if arguments.gpu else (512, 4096)
        config = preset(arguments.preset or ("tnl-385m" if arguments.gpu else "tnl-tiny"))
        profile = profile_step(config, device, length, tokens)
        print(profile)
        if out is not None:
            (out / "profile.txt").write_text(profile)
    print(f"\n{report['device']}, torch {report['torch']}\n{table(report['rows'])}")


if __name__ == "__main__":
    main()
