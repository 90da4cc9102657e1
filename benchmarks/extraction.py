"""Extraction side by side: quality on two labelled sets and speed, ours and the libraries'.

    python -m benchmarks.extraction [--pages N]

Sets (AUTOCLAVE_DATA or ../shared/data): article-extraction-benchmark (181 English pages, F1 of 4-word shingles as in
its evaluate.py) and trafilatura's own evaluation pages (539, mostly German; share of wanted segments found, of
unwanted ones avoided, and the F score of both). Speed is in MB of HTML per second of CPU time, one process.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import justext
import trafilatura
import zstandard
from resiliparse.extract.html2text import extract_plain_text
from warcio.archiveiterator import ArchiveIterator

from autoclave.corpus.charset import decode
from autoclave.corpus.extraction import extract_text

# as in benchmarks.data, which this file cannot import where it is run by its path
DATA = Path(os.environ.get("AUTOCLAVE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
WORD = re.compile(r"\w+")


def ours(name: str) -> Callable[[bytes], str]:
    return lambda page: extract_text(decode(page).text, name)


def resiliparse_plain(main_content: bool) -> Callable[[bytes], str]:
    return lambda page: extract_plain_text(decode(page).text, main_content=main_content, alt_texts=False)


def justext_text(page: bytes) -> str:
    paragraphs = justext.justext(decode(page).text, justext.get_stoplist("English"))
    return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


EXTRACTORS: dict[str, Callable[[bytes], str]] = {
    "ours: resiliparse": ours("resiliparse"),
    "ours: resiliparse-all": ours("resiliparse-all"),
    "ours: trafilatura": ours("trafilatura"),
    "resiliparse main_content": resiliparse_plain(True),
    "resiliparse all text": resiliparse_plain(False),
    "trafilatura": lambda page: trafilatura.extract(page) or "",
    "justext (English)": justext_text,
}


def shingles(text: str, size: int = 4) -> Counter[tuple[str, ...]]:
    words = WORD.findall(text or "")
    if len(words) < size:
        return Counter([tuple(words)]) if words else Counter()
    return Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))


def article_scores(pages: dict[str, bytes], extract: Callable[[bytes], str]) -> tuple[float, float, float, float]:
    """Return (F1, precision, recall, seconds) on the article-extraction benchmark, macro-averaged as there."""
    truth = json.loads(zstandard.decompress((DATA / "extract_aeb/ground-truth.json.zst").read_bytes(), 1 << 28))
    precisions, recalls = [], []
    started = time.process_time()
    texts = {name: extract(page) for name, page in pages.items()}
    seconds = time.process_time() - started
    for name, text in texts.items():
        wanted, found = shingles(truth[name]["articleBody"]), shingles(text)
        true = sum((wanted & found).values())
        if found:
            precisions.append(true / sum(found.values()))
        if wanted:
            recalls.append(true / sum(wanted.values()))
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 2 * precision * recall / (precision + recall), precision, recall, seconds


def segment_scores(pages: dict[str, bytes], extract: Callable[[bytes], str]) -> tuple[float, float, float, float]:
    """Return (F, precision, recall, seconds) over wanted and unwanted segments, as in trafilatura's evaluation."""
    gold = json.loads((DATA / "extract_trafilatura/gold.json").read_text(encoding="utf-8"))
    hit = miss = wrong = 0
    started = time.process_time()
    texts = {url: extract(page) for url, page in pages.items()}
    seconds = time.process_time() - started
    for url, text in texts.items():
        found = sum(segment in text for segment in gold[url]["with"])
        hit, miss = hit + found, miss + len(gold[url]["with"]) - found
        wrong += sum(segment in text for segment in gold[url]["without"])
    precision, recall = hit / max(1, hit + wrong), hit / (hit + miss)
    return 2 * precision * recall / max(1e-9, precision + recall), precision, recall, seconds


def article_pages(limit: int) -> dict[str, bytes]:
    paths = sorted((DATA / "extract_aeb/html").glob("*.html.gz"))[:limit]
    return {path.name.removesuffix(".html.gz"): gzip.decompress(path.read_bytes()) for path in paths}


def segment_pages(limit: int) -> dict[str, bytes]:
    pages: dict[str, bytes] = {}
    with open(DATA / "extract_trafilatura/pages.warc.gz", "rb") as file:
        for record in ArchiveIterator(file):
            if record.rec_type == "response" and len(pages) < limit:
                pages[record.rec_headers.get_header("WARC-Target-URI")] = record.content_stream().read()
    gold = json.loads((DATA / "extract_trafilatura/gold.json").read_text(encoding="utf-8"))
    return {url: page for url, page in pages.items() if url in gold}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10**6, help="pages of each set at most")
    parser.add_argument("--only", default="", help="extractors whose names hold this")
    arguments = parser.parse_args()
    articles, segments = article_pages(arguments.pages), segment_pages(arguments.pages)
    size = sum(map(len, articles.values())) / 1e6, sum(map(len, segments.values())) / 1e6
    print(f"articles: {len(articles)} pages, {size[0]:.1f} MB; segments: {len(segments)} pages, {size[1]:.1f} MB")
    print(
        f"{'':26} {'articles F1':>11} {'P':>6} {'R':>6} {'MB/s':>7}   {'segments F':>10} {'P':>6} {'R':>6} {'MB/s':>7}"
    )
    for name, extract in EXTRACTORS.items():
        if arguments.only in name:
            first, second = article_scores(articles, extract), segment_scores(segments, extract)
            print(
                f"{name:26} {first[0]:11.3f} {first[1]:6.3f} {first[2]:6.3f} {size[0] / first[3]:7.1f}   "
                f"{second[0]:10.3f} {second[1]:6.3f} {second[2]:6.3f} {size[1] / second[3]:7.1f}"
            )


if __name__ == "__main__":
    main()
