"""Verdicts and speed of the bad-words rule beside datatrove's, on real text in the languages that have a list.

    python -m benchmarks.filters.bad_words --datatrove /path/to/other/venv/bin/python

datatrove 0.10 runs in an environment of its own and is given the lists of this package. Text: web excerpts, web
documents and sentences of the labelled sets.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from autoclave.cleaning.filters.bad_words import ALIASES, word_lists
from autoclave.cleaning.language.identification import identifier
from autoclave.cleaning.signals import measure
from benchmarks.data import add_data_option, read_rows

SETS = (
    "web_hplt/labelled.jsonl.zst",
    "web_hplt/unlabelled.jsonl.zst",
    "web_registers/docs.jsonl.zst",
    "lid_tatoeba/tatoeba.jsonl.zst",
)
PEER = """
import json, sys, time
import datatrove.pipeline.filters.c4_filters as c4
from datatrove.data import Document
c4.cached_asset_path_or_download = lambda url, **options: sys.argv[1] + "/" + url.rsplit("/", 1)[1]
chosen = c4.C4BadWordsFilter()
documents = [Document(text=text, id="", metadata={"language": code}) for code, text in map(json.loads, sys.stdin)]
begin = time.process_time()
kept = [chosen.filter(document) is True for document in documents]
print(json.dumps([kept, time.process_time() - begin]))
"""


def documents(data: Path) -> tuple[list[str], list[str]]:
    """Return (texts, codes) of the documents in a language that has a list."""
    texts: list[str] = []
    for name in SETS:
        for row in read_rows(data / name):
            texts.append(row["text"] if isinstance(row["text"], str) else "\n".join(row["text"]))
    labels = [ALIASES.get(code, code) for code in identifier().predict(pa.array(texts))[0].to_pylist()]
    chosen = [place for place, code in enumerate(labels) if code in word_lists()]
    return [texts[place] for place in chosen], [labels[place] for place in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datatrove", required=True, help="the Python that has datatrove")
    add_data_option(parser)
    chosen = parser.parse_args()
    texts, codes = documents(chosen.data)
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as lists:
        for code, words in word_lists().items():
            (Path(lists) / code).write_text("\n".join(words), encoding="utf-8")
        sent = "\n".join(json.dumps(pair) for pair in zip(codes, texts, strict=True))
        peer = subprocess.run(
            [chosen.datatrove, "-c", PEER, lists], input=sent, capture_output=True, text=True, check=True
        )
    kept, seconds = json.loads(peer.stdout.splitlines()[-1])
    print(f"{len(texts):,} texts, {size:.1f} MB; datatrove {size / seconds:.1f} MB/s, drops {kept.count(False)}")
    column = pa.array(texts)
    for dialect in ("datatrove", "paper"):
        measure(column[:10], ["bad_words"], dialect=dialect, languages=codes[:10])
        runs = []
        for _ in range(5):
            begin = time.process_time()
            counts = measure(column, ["bad_words"], dialect=dialect, languages=codes)["bad_words"].to_pylist()
            runs.append(size / (time.process_time() - begin))
        same = sum((count == 0) == said for count, said in zip(counts, kept, strict=True))
        dropped = sum(count > 0 for count in counts)
        print(f"{dialect}: same verdict on {same:,}, drops {dropped}; {sorted(runs)[2]:.1f} MB/s")


if __name__ == "__main__":
    main()
