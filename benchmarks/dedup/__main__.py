"""Deduplication beside its peers: signatures, union-find, quality on labelled sets, the whole job, growth.

    python -m benchmarks.dedup signatures [--rensa-python P] [--datatrove-python P]
    python -m benchmarks.dedup union
    python -m benchmarks.dedup quality [--data DIR]
    python -m benchmarks.dedup threshold [--data DIR]
    python -m benchmarks.dedup normalisation [--data DIR]
    python -m benchmarks.dedup rules [--data DIR]
    python -m benchmarks.dedup pipeline [--documents 50000] [--words 150] [--datatrove-python P]
    python -m benchmarks.dedup skew [--documents 50000]
    python -m benchmarks.dedup growth [--sizes 10000 100000 1000000] [--words 100]

rensa and datatrove run in environments of their own (pip install rensa==0.5.0 numpy; pip install datatrove==0.10.1
spacy tokenizers orjson regex), whose Python is given; without it their rows are skipped. Times of one core are CPU
seconds, the best of three runs; each line says what was measured against what in the same run.
"""

from __future__ import annotations

import argparse

from benchmarks.data import add_data_option
from benchmarks.dedup import scale
from benchmarks.dedup.normalisation import normalisation
from benchmarks.dedup.quality import quality, threshold
from benchmarks.dedup.rules import rules
from benchmarks.dedup.signatures import signatures
from benchmarks.dedup.union import union

COMMANDS = {
    "signatures": signatures,
    "union": union,
    "quality": quality,
    "threshold": threshold,
    "normalisation": normalisation,
    "rules": rules,
    "pipeline": scale.pipeline,
    "skew": scale.skew,
    "growth": scale.growth,
    "growth-write": scale.growth_write,
    "growth-one": scale.growth_one,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(COMMANDS))
    parser.add_argument("--rensa-python", help="a Python with rensa")
    parser.add_argument("--datatrove-python", help="a Python with datatrove and spacy")
    add_data_option(parser)
    parser.add_argument("--folder", help="the corpus of growth-write and growth-one, which growth calls")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--words", type=int, default=150)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    arguments = parser.parse_args()
    COMMANDS[arguments.what](arguments)


if __name__ == "__main__":
    main()
