"""What good text must not suffer: the bars, and whether they are met."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

from benchmarks.good_text.sets import SETS
from benchmarks.good_text.structure import BREAK, CODE, FENCE, FORMULA, ROW
from benchmarks.good_text.tallies import PERSONAL, Results

LONGEST_LOSS = 200
"""Bytes of prose that an edit may take out in one place."""

PRECISION = RECALL = 0.95
SURE_KEPT = 0.95
FACTOR = Fraction(3, 2)
"""By how much the rate at which natural pages are kept may be less in a language than in English."""

PAGES = 8
"""Least pages of a language for the bar on its rate."""


@dataclass(frozen=True)
class Bar:
    """One bar. measured: the figure as people read it; met: None where nothing was there to be measured."""

    name: str
    wanted: str
    measured: str
    met: bool | None


def bars(results: Results) -> list[Bar]:
    """Return all bars, in the order in which they are printed."""
    return [
        *_losses(results),
        *_structure(results),
        *_redactions(results),
        _declarations(results),
        _natural_pages(results, "hplt_cut", "excerpts as they were cut"),
        _natural_pages(results, "hplt", "their whole sentences"),
    ]


def _losses(results: Results) -> list[Bar]:
    letters: Counter[str] = Counter()
    harmed: Counter[str] = Counter()
    longest = max((edits.longest_loss[0] for edits in results.edits.values()), default=0)
    for (_, name), edits in results.edits.items():
        letters[name] += edits.letters_lost + edits.letters_new
        harmed[name] += edits.harmed
    worst = ", ".join(
        f"{name} {letters[name]:,} in {count:,} documents" for name, count in harmed.most_common() if count
    )
    known = bool(results.edits)
    return [
        Bar("letters lost or changed in text without real damage", "0", worst or "0", not worst if known else None),
        Bar(
            "longest removal of prose",
            f"<= {LONGEST_LOSS} bytes",
            f"{longest:,} bytes",
            longest <= LONGEST_LOSS if known else None,
        ),
    ]


def _structure(results: Results) -> list[Bar]:
    found = []
    for kind in (FENCE, CODE, FORMULA, ROW, BREAK):
        before = sum(survival.before[kind] for survival in results.survival.values())
        lost = sum(survival.lost[kind] for survival in results.survival.values())
        measured = f"{lost:,} of {before:,} lost"
        found.append(Bar(f"{kind} of kept documents still there", "all", measured, lost == 0 if before else None))
    return found


def _redactions(results: Results) -> list[Bar]:
    all_, wrong = 0, 0
    for (name, transform), edits in results.edits.items():
        if transform == PERSONAL and SETS[name].technical:
            all_ += edits.redacted.total()
            wrong += edits.wrongly.total()
    precision = 1 - wrong / all_ if all_ else 1.0
    found, written = results.counted
    recall = found / written if written else 0.0
    return [
        Bar(
            "redactions in technical text that are right",
            f">= {PRECISION:.0%}",
            f"{precision:.1%} of {all_:,}",
            precision >= PRECISION if all_ else None,
        ),
        Bar(
            "generated telephone numbers of 20 countries that are redacted",
            f">= {RECALL:.0%}",
            f"{recall:.1%} of {written:,}",
            recall >= RECALL if written else None,
        ),
    ]


def _declarations(results: Results) -> Bar:
    drops = results.dropped(["udhr"])
    share = drops.sure_kept / drops.sure if drops.sure else 0.0
    return Bar(
        "surely labelled UDHR texts kept",
        f">= {SURE_KEPT:.0%}",
        f"{drops.sure_kept} of {drops.sure} ({share:.1%})",
        share >= SURE_KEPT if drops.sure else None,
    )


def rates(results: Results, name: str) -> dict[str, tuple[Fraction, int]]:
    """Return language -> (share kept, pages) of the languages that have enough pages in a set."""
    return {
        language: (Fraction(drops.kept, drops.documents), drops.documents)
        for (other, language), drops in results.drops.items()
        if other == name and drops.documents >= PAGES
    }


def _natural_pages(results: Results, name: str, what: str) -> Bar:
    found = rates(results, name)
    english = found.pop("en", (Fraction(0), 0))[0]
    low = sorted((rate, language) for language, (rate, _) in found.items() if rate * FACTOR < english)
    worst = ", ".join(f"{language} {float(rate):.0%}" for rate, language in low)
    return Bar(
        f"natural HPLT pages kept in every language, {what}",
        f">= English ({float(english):.0%}) / {float(FACTOR)}",
        f"{len(found) - len(low)} of {len(found)} languages{f'; below: {worst}' if worst else ''}",
        not low if found and english else None,
    )
