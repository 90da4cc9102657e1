"""Filters beside their peers: same documents, same run, one core.

    python benchmarks/cleaning.py                                   # ours alone, by family, English and Chinese
    python benchmarks/cleaning.py --datatrove /path/to/venv         # verdicts and speed beside datatrove 0.10

Throughput is UTF-8 megabytes a CPU second after one warm-up call (numba's cache filled). datatrove runs in an
environment of its own (`pip install datatrove==0.10.1 spacy`), on the same texts handed over as a file, each of its
filters over every document, and reports its CPU time less start-up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import zstandard

from autoclave.cleaning.filters.registry import MODULES, load_filter
from autoclave.cleaning.signals import run_filters

FAMILIES = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
ENGLISH = ("edu_openstax", "quality_onestop", "quality_dclm_human", "tech_peps", "web_en_ewt", "quality_spam_en")
CHINESE = ("zh_laws", "zh_techdocs", "zh_classical")

PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
from datatrove.utils.text import split_into_words
texts = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
split_into_words("start the tokenizer")
result = {}
for name, kind in (("gopher_repetition", GopherRepetitionFilter), ("gopher_quality", GopherQualityFilter),
                   ("c4", C4QualityFilter), ("fineweb", FineWebQualityFilter)):
    chosen, said, started = kind(), [], time.process_time()
    for text in texts:
        try:
            verdict = chosen.filter(Document(text=text, id=""))
        except ZeroDivisionError:
            verdict = (False, "division by zero")
        said.append(None if verdict is True else verdict[1] if isinstance(verdict, tuple) else "dropped")
    result[name] = (time.process_time() - started, said)
json.dump(result, sys.stdout)
"""


def read_texts(data: Path, names: Sequence[str], limit: int) -> list[str]:
    """Return texts of the named sets, interleaved, up to `limit` bytes."""
    sets: list[list[str]] = []
    for name in names:
        texts: list[str] = []
        for path in sorted((data / name).glob("*.jsonl.zst")):
            raw = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
            texts += [row["text"] for row in map(json.loads, raw.splitlines()) if row.get("text")]
        sets.append(texts)
    chosen: list[str] = []
    size = 0
    for rank in range(max(map(len, sets), default=0)):
        for texts in sets:
            if rank < len(texts) and size < limit:
                chosen.append(texts[rank])
                size += len(texts[rank].encode())
    return chosen


def speed(texts: Sequence[str], families: Sequence[str], dialect: str, language: str, repeats: int = 3) -> float:
    """Return MB of UTF-8 a CPU second: best of `repeats`, after a warm-up call."""
    filters = [load_filter(name, {}, dialect, "benchmark") for name in families]
    column = pa.array(texts)
    codes = [language] * len(texts)
    run_filters(column.slice(0, 20), filters, codes[:20])
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        run_filters(column, filters, codes)
        best = min(best, time.process_time() - started)
    return sum(len(text.encode()) for text in texts) / 1e6 / best


START = """
import time
import pyarrow as pa
from autoclave.cleaning.filters.registry import MODULES, load_filter
from autoclave.cleaning.signals import run_filters
filters = [load_filter(name, {}, "paper", "benchmark") for name in MODULES]
run_filters(pa.array(["some words of a text. " * 20, "数据清洗" * 30]), filters, ["en", "zh"])
print(time.process_time())
"""


def start_up(repeats: int = 5) -> float:
    """Return the median CPU seconds of a new process to its first signals of all families, compile cache warm."""
    command = [sys.executable, "-c", START]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(repeats + 1)]
    return statistics.median(map(float, runs[1:]))


def ours(data: Path, megabytes: float) -> None:
    print(f"start-up of a worker: {start_up():.2f} CPU seconds")
    for language, names in (("en", ENGLISH), ("zh", CHINESE)):
        texts = read_texts(data, names, int(megabytes * 1e6))
        print(f"{language}: {len(texts)} documents, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB")
        for families in [*[(name,) for name in FAMILIES], FAMILIES]:
            print(f"  {'+'.join(families):48s} {speed(texts, families, 'datatrove', language):7.1f} MB/s")
        for dialect in ("paper", "datatrove"):
            rate = speed(texts, tuple(MODULES), dialect, language, repeats=7)
            print(f"  {'all signals of all families@' + dialect:48s} {rate:7.1f} MB/s")
        for dialect in ("paper", "dclm", "dolma", "curator"):
            gopher = ("gopher_repetition", "gopher_quality")
            print(f"  {'+'.join(gopher) + '@' + dialect:48s} {speed(texts, gopher, dialect, language):7.1f} MB/s")


def beside_datatrove(data: Path, environment: Path, megabytes: float) -> None:
    texts = read_texts(data, ENGLISH, int(megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "texts.jsonl"
        source.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
        command = [environment / "bin/python", "-c", PEER, str(source)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    peer = json.loads(done.stdout[done.stdout.index("{") :])
    print(f"{len(texts)} documents, {size:.1f} MB; datatrove with spaCy's words, ours with our own")
    total = 0.0
    for name in FAMILIES:
        seconds, said = peer[name]
        total += seconds
        chosen = load_filter(name, {}, "datatrove", "benchmark")
        signals = run_filters(pa.array(texts), [chosen], [None] * len(texts))[1]
        reasons = chosen.decide(signals, [None] * len(texts)).tolist()
        differing = Counter((a, b) for a, b in zip(said, reasons, strict=True) if (a is None) != (b is None))
        agreement = 1 - differing.total() / len(texts)
        rate = speed(texts, (name,), "datatrove", "en")
        print(f"  {name:18s} datatrove {size / seconds:6.2f} MB/s, ours {rate:6.1f} MB/s, same verdict {agreement:.4%}")
        for (theirs, mine), count in differing.most_common(4):
            print(f"      {count} x datatrove: {theirs or 'keep'}; ours: {mine or 'keep'}")
    rate = speed(texts, FAMILIES, "datatrove", "en")
    print(f"  all four           datatrove {size / total:6.2f} MB/s, ours {rate:6.1f} MB/s: x{rate * total / size:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("AUTOCLAVE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default, help="folder of the labelled sets")
    parser.add_argument("--datatrove", type=Path, help="virtual environment with datatrove 0.10 and spaCy")
    parser.add_argument("--megabytes", type=float, default=10.0)
    arguments = parser.parse_args()
    if arguments.datatrove:
        beside_datatrove(arguments.data, arguments.datatrove, arguments.megabytes)
    else:
        ours(arguments.data, arguments.megabytes)


if __name__ == "__main__":
    main()
