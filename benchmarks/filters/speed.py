"""Filters beside their peers: same documents, same run, one core.

    python -m benchmarks.filters.speed                              # ours alone, by family, English and Chinese
    python -m benchmarks.filters.speed --datatrove /path/to/venv    # verdicts and speed beside datatrove 0.10
    python -m benchmarks.filters.speed --curator VENV --dolma VENV  # beside NeMo Curator's heuristics, Dolma's taggers

Throughput is UTF-8 megabytes a CPU second after one warm-up call (numba's cache filled). A peer runs in an environment
of its own (`pip install datatrove==0.10.1 spacy`, `nemo-curator==1.4.0`, `dolma==1.2.1`), on the same texts handed over
as a file, each of its filters over every document, and reports its CPU time less start-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from autoclave.cleaning.filters.registry import MODULES, load_filter
from autoclave.cleaning.signals import run_filters
from benchmarks.data import add_data_option, read_set
from benchmarks.environments import run_peer

FAMILIES = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
ENGLISH = ("edu_openstax", "quality_onestop", "quality_dclm_human", "tech_peps", "web_en_ewt", "quality_spam_en")
CHINESE = ("zh_laws", "zh_techdocs", "zh_classical")


@dataclass(frozen=True)
class Peer:
    """A system that runs beside ours. script: in peers/, run by its Python; dialect: ours; pipeline: its families."""

    name: str
    script: str
    dialect: str
    pipeline: tuple[str, ...]


PEERS = {
    "datatrove": Peer("datatrove", "datatrove_filters.py", "datatrove", FAMILIES),
    "curator": Peer(
        "NeMo Curator", "curator_filters.py", "curator", ("nemotron", "gopher_quality", "gopher_repetition")
    ),
    "dolma": Peer("Dolma", "dolma_taggers.py", "dolma", ("gopher_repetition+gopher_quality", "bad_words+c4")),
}


def read_texts(data: Path, names: Sequence[str], limit: int) -> list[str]:
    """Return texts of the named sets, interleaved, up to `limit` bytes."""
    sets = [[row["text"] for row in read_set(data / name) if row.get("text")] for name in names]
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


def peer_reasons(peer: Peer, environment: Path, texts: Sequence[str]) -> dict[str, tuple[float, list[str | None]]]:
    """Return what the peer prints: families -> (CPU seconds, reasons)."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "texts.jsonl"
        source.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
        printed = run_peer(environment / "bin/python", peer.script, source)
    result: dict[str, tuple[float, list[str | None]]] = json.loads(printed[printed.index("{") :])
    return result


def our_reasons(texts: Sequence[str], families: Sequence[str], dialect: str) -> list[str | None]:
    """Return the first reason of several families per document, each judging the text as it came."""
    said: list[str | None] = [None] * len(texts)
    for name in families:
        chosen = load_filter(name, {}, dialect, "benchmark")
        signals = run_filters(pa.array(texts), [chosen], [None] * len(texts))[1]
        found = chosen.decide(signals, [None] * len(texts)).tolist()
        said = [first or second for first, second in zip(said, found, strict=True)]
    return said


def beside(peer: Peer, data: Path, environment: Path, megabytes: float) -> None:
    """Print verdicts and speed beside a peer: every filter of both over every document, one core each."""
    texts = read_texts(data, ENGLISH, int(megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts) / 1e6
    found = peer_reasons(peer, environment, texts)
    tied = found.pop("tied", (0.0, [None] * len(texts)))[1]
    print(f"{len(texts)} documents, {size:.1f} MB; {peer.name} and ours in the dialect {peer.dialect}")
    for name, (seconds, said) in found.items():
        if name == "pipeline":
            continue
        families = name.split("+")
        reasons = our_reasons(texts, families, peer.dialect)
        differing = Counter((a, b) for a, b in zip(said, reasons, strict=True) if (a is None) != (b is None))
        rate = speed(texts, families, peer.dialect, "en")
        print(
            f"  {name:32s} theirs {size / seconds:6.2f} MB/s, ours {rate:6.1f} MB/s: x{rate * seconds / size:.0f}; "
            f"same verdict {1 - differing.total() / len(texts):.4%}, dropped {sum(r is not None for r in said)}"
        )
        for (theirs, mine), count in differing.most_common(4):
            print(f"      {count} x {peer.name}: {theirs or 'keep'}; ours: {mine or 'keep'}")
        if any(tied) and differing:
            ties = sum(
                (a is None) != (b is None) and c is not None for a, b, c in zip(said, reasons, tied, strict=True)
            )
            print(f"      {ties} of {differing.total()} are texts with several most frequent n-grams")
    total = sum(found[name][0] for name in peer.pipeline)
    rate = speed(texts, [family for name in peer.pipeline for family in name.split("+")], peer.dialect, "en")
    print(f"  {'all of ' + ', '.join(peer.pipeline)}")
    print(f"  {'':32s} theirs {size / total:6.2f} MB/s, ours {rate:6.1f} MB/s: x{rate * total / size:.0f}")
    if "pipeline" in found:
        total = found["pipeline"][0]
        print(f"  {'a dropped text spared the rest':32s} theirs {size / total:6.2f} MB/s: x{rate * total / size:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--datatrove", type=Path, help="virtual environment with datatrove 0.10 and spaCy")
    parser.add_argument("--curator", type=Path, help="virtual environment with nemo-curator 1.4")
    parser.add_argument("--dolma", type=Path, help="virtual environment with dolma 1.2")
    parser.add_argument("--megabytes", type=float, default=10.0)
    arguments = parser.parse_args()
    environments = {name: getattr(arguments, name) for name in PEERS if getattr(arguments, name)}
    for name, environment in environments.items():
        beside(PEERS[name], arguments.data, environment, arguments.megabytes)
    if not environments:
        ours(arguments.data, arguments.megabytes)


if __name__ == "__main__":
    main()
