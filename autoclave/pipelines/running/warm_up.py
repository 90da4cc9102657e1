"""Compile the native kernels of text and markup, so that the first real run starts at once.

`python -m autoclave.pipelines.running.warm_up` does it. Numba keeps what it compiles beside the sources (or in
NUMBA_CACHE_DIR); this takes about 40 seconds on a new machine and under two seconds afterwards.
"""

from __future__ import annotations

import tempfile

import pyarrow as pa

from autoclave.cleaning.chain import CleanSettings
from autoclave.cleaning.signals import measure
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import make_documents
from autoclave.corpus.storage import Folder
from autoclave.extraction.main_content import extract_main_content
from autoclave.pipelines.clean import STAGE as CLEAN
from autoclave.pipelines.dedup.stage import STAGE as DEDUP
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.stage import StageContext, document_shards

TEXTS = (
    "It was the best of times, it was the worst of times, and the people of the town went to see what they could have.",
    "自动清洗语料库的流程从抓取网页开始，经过过滤、去重，最后得到可以训练语言模型的数据。",
    "ภาษาไทยเขียนติดกันโดยไม่เว้นวรรค",
)


def warm_up() -> None:
    """Extract a page, run the stages clean and dedup on a few documents in a temporary folder, and filters that no
    default has."""
    extract_main_content(f"<title>Warm up</title><p>{TEXTS[0]}</p>")
    measure(pa.array(TEXTS), ["bad_words", "line_languages"])
    with tempfile.TemporaryDirectory() as scratch:
        first = Folder(scratch).child("01-documents")
        with ShardOutput(first, "documents", "000000") as output:
            texts = [text * 20 for text in TEXTS] * 2
            output.write(make_documents(texts, "warm-up"), Verdicts.keep_all(len(texts)))
            output.commit("warm-up", [])
        clean = StageContext("clean", Folder(scratch).child("02-clean"), CleanSettings(), 0, InProcessEngine())
        clean.inputs = document_shards(first)
        CLEAN.run(clean)
        dedup = StageContext("dedup", Folder(scratch).child("03-dedup"), DEDUP.settings(), 0, InProcessEngine())
        dedup.inputs = document_shards(first)
        dedup.previous = first
        DEDUP.run(dedup)


if __name__ == "__main__":
    warm_up()
