"""Which dialect should be the default: what each keeps of good pages and drops of bad ones, on labelled text.

    python -m benchmarks.filters.dialects               # the default chain, and the same in each dialect, half by half
    python -m benchmarks.filters.dialects --families    # each family alone as well
    python -m benchmarks.filters.dialects --sets        # every set of pages for itself

Pages are split in two halves by a hash of what they have in common with others: their article, act, folder, or else
their text. A reading is scored in each language by Youden's J: the share of good pages that it keeps plus the share of
bad ones that it drops, less 1, each the mean over the sets, so that no large set decides. The one with the best mean
over English and Chinese on the first half is chosen; the second half says whether that holds. In brackets: 95 % Wilson
intervals of all pages of a kind together.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
import zstandard

from autoclave.cleaning.chain import DEFAULT_FILTERS, CleanSettings, build_filters, decide
from autoclave.cleaning.dialects import DEFAULT_DIALECT, DIALECTS
from autoclave.cleaning.filters.registry import dialects_of
from autoclave.cleaning.signals import run_filters
from benchmarks.data import add_data_option, read_set

FAMILIES = ("gopher_quality", "gopher_repetition", "c4", "fineweb")
WITHOUT_LINES = ("gopher_quality", "gopher_repetition")
"""What judges HPLT's excerpts, which have lost their lines, by which C4 and FineWeb decide."""

LONGEST = 20_000
"""Characters of a text that are looked at: books and specifications are cut, so that pages stay comparable."""

HPLT_LANGUAGES = {
    "eng_Latn": "en", "zho_Hans": "zh", "deu_Latn": "de", "spa_Latn": "es", "rus_Cyrl": "ru", "nld_Latn": "nl",
    "pol_Latn": "pl",
}  # fmt: skip
"""Languages that have stop words of their own; Gopher's English ones would drop the others in every dialect."""

ORIGINS = (
    ("quality_onestop", "graded articles", "en", r"-[^-]*$"),
    ("edu_openstax", "text books", "en", r"$^"),
    ("tech_peps", "PEPs", "en", r"$^"),
    ("zh_laws", "statutes", "zh", r"\([^(]*$"),
    ("zh_techdocs", "handbooks", "zh", r"/[^/]*$"),
)
"""Folder, name, language, and what of an id is taken away so that versions and neighbours share their half."""


@dataclass(frozen=True)
class Page:
    """One labelled text. group: what decides its half; judged: by people, not by where it comes from."""

    source: str
    language: str
    group: str
    good: bool
    text: str
    judged: bool = True

    @property
    def half(self) -> int:
        return xxhash.xxh3_64_intdigest(self.group.encode()) & 1


def judged_pages(data: Path) -> Iterator[Page]:
    """Yield the pages that people judged: DCLM's votes, HPLT's excerpts, and documents whose lines are of one kind."""
    for row in read_set(data / "quality_dclm_human"):
        yield Page("DCLM votes", "en", row["text"], row["label"] == 1, row["text"])
    for row in read_set(data / "web_hplt"):
        if "unnatural" in row and row["lang"] in HPLT_LANGUAGES:
            good = not row["unnatural"] and not row["porn"] and bool(row["lang_correct"])
            text = row["text"].replace("\n..........\n", " ")  # between the two excerpts of a page
            yield Page("HPLT", HPLT_LANGUAGES[row["lang"]], row["id"], good, text)
    for row in read_set(data / "quality_lines"):
        sizes = [len(line) for line in row["lines"]]
        main = sum(size for size, label in zip(sizes, row["labels"], strict=True) if label) / max(1, sum(sizes))
        if row["lang"] in ("en", "de", "es", "fr") and (main >= 0.9 or main <= 0.1):
            text = "\n".join(line.strip() for line in row["lines"])
            yield Page("lines", row["lang"], row["id"], main >= 0.9, text)


def good_documents(data: Path) -> Iterator[Page]:
    """Yield documents that are good by their origin: news, text books, specifications, statutes, handbooks."""
    packed = (data / "extract_aeb" / "ground-truth.json.zst").read_bytes()
    articles = json.loads(zstandard.ZstdDecompressor().stream_reader(packed).read())
    for row in articles.values():
        yield Page("news articles", "en", row["articleBody"], True, row["articleBody"], judged=False)
    for folder, source, language, version in ORIGINS:
        for row in read_set(data / folder):
            yield Page(source, language, re.sub(version, "", row["id"]), True, row["text"], judged=False)


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share."""
    z, share = 1.959964, part / whole
    spread = z * math.sqrt(share * (1 - share) / whole + (z / (2 * whole)) ** 2)
    middle, below = share + z * z / (2 * whole), 1 + z * z / whole
    return max(0.0, (middle - spread) / below), min(1.0, (middle + spread) / below)


DEFAULT = "default"


def chain_of(reading: str, family: str | None) -> tuple[str, list[str | dict[str, Any]]]:
    """Return (dialect, filters) of a reading: the default chain, the same all in one dialect, or one family alone.

    C4 stays as the default chain has it, less its rules on end marks and brackets, in every dialect.
    """
    if family is not None:
        return reading, [family]
    if reading == DEFAULT:
        return DEFAULT_DIALECT, list(DEFAULT_FILTERS)
    named = {entry if isinstance(entry, str) else next(iter(entry)): entry for entry in DEFAULT_FILTERS}
    return reading, [entry if name == "c4" else name for name, entry in named.items()]


def find_kept(pages: Sequence[Page], reading: str, family: str | None = None) -> np.ndarray:
    """Return which pages a reading keeps, bool."""
    kept = np.ones(len(pages), dtype=np.bool_)
    dialect, filters = chain_of(reading, family)
    for flat in (False, True):
        rows = np.flatnonzero([(page.source == "HPLT") == flat for page in pages])
        applied = [entry for entry in filters if not flat or any(name in entry for name in WITHOUT_LINES)]
        settings = CleanSettings(language=None, transforms=[], dialect=dialect, filters=applied)
        texts, codes = [pages[row].text[:LONGEST] for row in rows], [pages[row].language for row in rows]
        chain = build_filters(settings)
        kept[rows] = decide(chain, run_filters(pa.array(texts), chain, codes)[1], codes, settings).kept
    return kept


@dataclass(frozen=True)
class Score:
    """Shares over the pages of one language and half: means over sets, and counts (pages that hold, pages)."""

    good: float
    bad: float
    judged_good: tuple[int, int]
    judged_bad: tuple[int, int]
    other_good: tuple[int, int]

    @property
    def youden(self) -> float:
        return self.good + self.bad - 1

    def __str__(self) -> str:
        shares = [
            f"{part / whole:5.1%} [{wilson(part, whole)[0]:.0%}-{wilson(part, whole)[1]:.0%}]" if whole else f"{'':15s}"
            for part, whole in (self.judged_good, self.judged_bad, self.other_good)
        ]
        return f"J {self.youden:+.3f} | {self.good:.3f} {self.bad:.3f} | " + " | ".join(f"{x:>16s}" for x in shares)


def score(pages: Sequence[Page], right: np.ndarray, chosen: np.ndarray) -> Score:
    """Return the score over the `chosen` pages (bool); right: good and kept, or bad and dropped (bool)."""
    kinds: dict[tuple[bool, str], list[bool]] = {}
    counts = {(True, True): [0, 0], (False, True): [0, 0], (True, False): [0, 0]}
    for row in np.flatnonzero(chosen):
        page = pages[row]
        kinds.setdefault((page.good, page.source), []).append(bool(right[row]))
        counts[page.good, page.judged][0] += int(right[row])
        counts[page.good, page.judged][1] += 1
    good, bad = (float(np.mean([np.mean(x) for (is_good, _), x in kinds.items() if is_good == y])) for y in (1, 0))
    numbers = [(part, whole) for part, whole in counts.values()]
    return Score(good, bad, *numbers)


HEADING = "J | good kept, bad dropped (means over sets) | judged good kept | judged bad dropped | good by origin kept"


def compare(pages: Sequence[Page], family: str | None = None) -> None:
    """Print the scores of every reading, language by language and half by half, and the one that is chosen."""
    good = np.array([page.good for page in pages])
    halves, codes = np.array([page.half for page in pages]), np.array([page.language for page in pages])
    names = [DEFAULT, *DIALECTS] if family is None else [name for name in DIALECTS if name in dialects_of(family)]
    right = {name: find_kept(pages, name, family) == good for name in names}
    languages = ("en", "zh") if family not in ("c4", "fineweb") else ("en",)
    masks = {code: codes == code for code in languages}
    if len(languages) == 2:
        masks["de es fr nl pl ru"] = ~np.isin(codes, ["en", "zh"])
    means: list[Mapping[str, float]] = []
    print(f"\n{family or 'the chain'}: {HEADING}")
    for half in (0, 1):
        found = {
            name: {code: score(pages, right[name], mask & (halves == half)) for code, mask in masks.items()}
            for name in names
        }
        for code in masks:
            for name in names:
                print(f"half {half + 1} {code:18s} {name:10s} {found[name][code]}")
        means.append({name: float(np.mean([found[name][code].youden for code in languages])) for name in names})
    first, second = (max(mean, key=lambda name: mean[name]) for mean in means)
    for half, mean in enumerate(means):
        print(
            f"half {half + 1} mean of {' and '.join(languages)}: {', '.join(f'{n} {j:+.3f}' for n, j in mean.items())}"
        )
    print(f"chosen on the first half: {first}; best on the second: {second}")


def print_sets(pages: Sequence[Page]) -> None:
    """Print what each reading of the chain keeps of each set, both halves together."""
    kept = {name: find_kept(pages, name) for name in (DEFAULT, *DIALECTS)}
    kinds = np.array([f"{page.language} {page.source} {'good' if page.good else 'bad'}" for page in pages])
    print(f"{'share kept by the chain':28s} {'pages':>6s} " + " ".join(f"{name:>10s}" for name in kept))
    for kind in sorted(set(kinds)):
        rows = kinds == kind
        shares = " ".join(f"{rows_kept[rows].mean():10.3f}" for rows_kept in kept.values())
        print(f"{kind:28s} {rows.sum():6d} {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--families", action="store_true", help="each family alone, besides the chain")
    parser.add_argument("--sets", action="store_true", help="what is kept of every set")
    arguments = parser.parse_args()
    pages = [*judged_pages(arguments.data), *good_documents(arguments.data)]
    print(f"{len(pages)} pages, {sum(page.judged for page in pages)} of them judged by people")
    if arguments.sets:
        print_sets(pages)
        return
    compare(pages)
    for family in FAMILIES if arguments.families else ():
        compare(pages, family)


if __name__ == "__main__":
    main()
