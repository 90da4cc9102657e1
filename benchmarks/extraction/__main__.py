"""Extraction side by side: quality on eight sets, structure, holes, and speed; ours and the libraries'.

    python -m benchmarks.extraction [--pages N] [--only NAME] [--holes]

Sets (AUTOCLAVE_DATA or ../shared/data, `benchmarks.extraction.gold`): F1 of shingles of four words against the right
text; of trafilatura's own pages the F score of wanted and unwanted segments. Speed is pages per second of CPU time, one
process, the same pages in the same run, best of three rounds that take turns. The figures of `autoclave` are of the model
that is shipped, which has seen these pages; `python -m benchmarks.extraction.fit --check` prints the cross-validated ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import justext
import trafilatura
from resiliparse.extract.html2text import extract_plain_text

from autoclave.corpus.charset import decode
from autoclave.corpus.extraction import extract_page
from benchmarks.extraction.gold import SETS, Page
from benchmarks.extraction.scores import article_score, segment_score
from benchmarks.extraction.structure import holes, structure_scores

Extract = Callable[[str], str]
ROUNDS = 3


def ours(name: str) -> Extract:
    return lambda page: extract_page(page, name).text


def justext_text(page: str) -> str:
    paragraphs = justext.justext(page, justext.get_stoplist("English"))
    return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


EXTRACTORS: dict[str, Extract] = {
    "autoclave": ours("autoclave"),
    "ours: resiliparse": ours("resiliparse"),
    "ours: trafilatura": ours("trafilatura"),
    "resiliparse main_content": lambda page: extract_plain_text(page, main_content=True, alt_texts=False),
    "trafilatura": lambda page: trafilatura.extract(page) or "",
    "trafilatura, fast": lambda page: trafilatura.extract(page, fast=True) or "",
    "justext (English)": justext_text,
}


def run(pages: Sequence[Page], extract: Extract) -> tuple[dict[str, str], float]:
    """Texts by page, and seconds of CPU time without decoding."""
    sources = [decode(page.html).text for page in pages]
    started = time.process_time()
    texts = [extract(source) for source in sources]
    return {page.name: text for page, text in zip(pages, texts, strict=True)}, time.process_time() - started


def quality(names: Sequence[str], limit: int) -> None:
    loaded = {name: list(read())[:limit] for name, read in SETS.items()}
    print(f"{'':26}" + "".join(f"{name:>12}" for name in loaded))
    for name in names:
        texts = {group: run(pages, EXTRACTORS[name])[0] for group, pages in loaded.items()}
        scores = [
            (segment_score if group == "segments" else article_score)(pages, texts[group])[0]
            for group, pages in loaded.items()
        ]
        print(f"{name:26}" + "".join(f"{score:12.3f}" for score in scores), flush=True)
        kept = structure_scores(loaded["structured"], texts["structured"])
        print(" " * 26 + "  ".join(f"{kind} {found / max(1, wanted):.2f}" for kind, (found, wanted) in kept.items()))


def speed(names: Sequence[str], limit: int) -> None:
    pages = list(SETS["articles"]())[:limit]
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name in names:
            best[name] = min(best.get(name, 1e9), run(pages, EXTRACTORS[name])[1])
    usual, fast = best.get("trafilatura"), best.get("resiliparse main_content")
    print(f"\n{'':26}{'pages/s':>10}{'x trafilatura':>15}{'time / Resiliparse':>20}")
    for name, seconds in best.items():
        row = f"{name:26}{len(pages) / seconds:10.0f}"
        print(row + (f"{usual / seconds:15.1f}" if usual else "") + (f"{seconds / fast:20.2f}" if fast else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10**6, help="pages of each set at most")
    parser.add_argument("--only", default="", help="extractors whose names hold this")
    parser.add_argument("--holes", action="store_true", help="list the holes in our text of all pages, and stop")
    arguments = parser.parse_args()
    names = [name for name in EXTRACTORS if arguments.only in name]
    if arguments.holes:
        pages = [page for read in SETS.values() for page in list(read())[: arguments.pages]]
        found = holes(pages, EXTRACTORS["autoclave"])
        for name, missing in found:
            print(f"{name}: {missing[:100]}")
        print(f"{len(found)} holes in {len(pages)} pages")
        return
    quality(names, arguments.pages)
    speed(names, arguments.pages)


if __name__ == "__main__":
    main()
