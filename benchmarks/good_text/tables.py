"""Tables of what was measured, for a terminal and for a page in Markdown."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.good_text.bars import Bar, rates
from benchmarks.good_text.generated import ABROAD, ALIKE, COUNTRIES
from benchmarks.good_text.kinds import LOSS
from benchmarks.good_text.sets import EXCERPTS, GROUPS, POEMS, SETS
from benchmarks.good_text.structure import ELEMENTS
from benchmarks.good_text.tallies import CHAIN, PERSONAL, Drops, Edits, Results

_LIMIT = re.compile(r" ([<>]) [-\d.e]+$")
_NUMBER = re.compile(r"[\d.,%]+")
LEAST = 5
"""Documents of a language that a share of them needs to be printed."""


@dataclass(frozen=True)
class Table:
    """rows: as wide as the header; numbers are set to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Return the table as a terminal shows it."""
        lines = [list(self.header), *map(list, self.rows)]
        widths = [max(_width(line[at]) for line in lines) for at in range(len(self.header))]
        shown = [
            "  ".join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([f"\n{self.title}", shown[0], "-" * min(120, sum(widths) + 2 * len(widths)), *shown[1:]])

    def markdown(self) -> str:
        """Return the table in Markdown, under its title."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        rows = (f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
        return "\n".join([f"{self.title}:\n", *rows, ""])


def _width(text: str) -> int:
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text if not unicodedata.combining(sign))


def _padded(cell: str, width: int) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if _NUMBER.fullmatch(cell) else cell + blanks


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _groups(results: Results) -> dict[str, list[str]]:
    groups = {group: [name for name in results.sets if SETS[name].group == group] for group in GROUPS}
    return {group: names for group, names in groups.items() if names}


# -- edits ------------------------------------------------------------------------------------------------------------


def _together(results: Results, transform: str, sets: Sequence[str]) -> Edits:
    total = Edits()
    for name in sets:
        edits = results.edits.get((name, transform))
        if edits is None:
            continue
        for number in ("documents", "changed", "harmed", "letters_lost", "letters_new", "other_script"):
            setattr(total, number, getattr(total, number) + getattr(edits, number))
        total.kinds.update(edits.kinds)
        total.redacted.update(edits.redacted)
        total.wrongly.update(edits.wrongly)
        total.longest = max(total.longest, edits.longest, key=lambda found: found[0])
        total.longest_loss = max(total.longest_loss, edits.longest_loss, key=lambda found: found[0])
    return total


def edits_table(results: Results) -> Table:
    """Per transform, over all sets: documents changed, what it is for (places by kind of change), documents harmed by
    kind of text, letters lost, new, and new of another script, the longest removal and the longest loss in bytes."""
    groups = _groups(results)
    rows = []
    for name in results.transforms:
        edits = _together(results, name, results.sets)
        use = ", ".join(f"{count:,} {kind}" for kind, count in edits.kinds.most_common() if kind != LOSS)
        harmed = [f"{_together(results, name, sets).harmed:,}" for sets in groups.values()]
        letters = [f"{count:,}" for count in (edits.letters_lost, edits.letters_new, edits.other_script)]
        longest, kind, _ = edits.longest
        rows.append(
            [
                name,
                f"{edits.changed:,}",
                use,
                *harmed,
                *letters,
                f"{longest:,} {kind}".strip(),
                f"{edits.longest_loss[0]:,}",
            ]
        )
    documents = [f"{group} ({results.dropped(sets).documents:,})" for group, sets in groups.items()]
    header = ["edit", "changed", "what it is for", *documents, "lost", "new", "other script", "longest", "longest loss"]
    return Table("Edits of good documents, and those that they harm by kind of text", header, rows)


def harm_table(results: Results) -> Table:
    """Per set and edit: documents harmed, letters, the place of the longest loss."""
    rows = []
    for (name, transform), edits in results.edits.items():
        if edits.harmed:
            size, place = edits.longest_loss
            rows.append(
                [
                    name,
                    transform,
                    f"{edits.harmed:,}",
                    f"{edits.letters_lost:,}",
                    f"{edits.letters_new:,}",
                    f"{size:,}",
                    str(place),
                ]
            )
    header = ["set", "edit", "harmed", "lost", "new", "longest", "where"]
    return Table("Losses, by set: documents harmed, letters lost and new, longest loss in bytes", header, rows)


def redactions_table(results: Results) -> Table:
    """Per set and kind: redactions, and where they are judged, how many are right."""
    rows = []
    for (name, transform), edits in results.edits.items():
        if transform == PERSONAL:
            for kind, count in edits.redacted.most_common():
                right = f"{1 - edits.wrongly[kind] / count:.1%}" if SETS[name].technical else ""
                rows.append([name, kind, f"{count:,}", right])
    return Table(
        "Redactions: how many, and of technical text how many are right", ["set", "kind", "redacted", "right"], rows
    )


def recall_table(results: Results) -> Table:
    """Per country and way of writing: generated numbers that are redacted."""
    places = list(dict.fromkeys(place for _, _, place in results.recall))
    columns = [("with country code", place) for place in places] + [("national", place) for place in places]
    columns += [("digits alone", place) for place in places]
    rows = []
    for name in dict.fromkeys(country for country, _, _ in results.recall):
        cells: dict[tuple[str, str], list[int]] = {}
        for (country, form, place), (found, written) in results.recall.items():
            if country == name:
                way = "with country code" if form in ABROAD or form.startswith("+") else "national"
                way = "digits alone" if form in ALIKE else way
                cell = cells.setdefault((way if country in COUNTRIES else columns[0][0], place), [0, 0])
                cell[0] += found
                cell[1] += written
        rows.append([name, *(_share(*cells.get(column, [0, 0])) for column in columns)])
    header = ["of", *(f"{way}, {place}" for way, place in columns)]
    return Table(
        "Generated numbers and addresses that are redacted, by country or kind, and where they stand", header, rows
    )


# -- drops ------------------------------------------------------------------------------------------------------------


def _rules(drops: Drops, most: int = 3) -> str:
    """Return the rules that dropped most, without their limits, which differ between languages."""
    counts: Counter[str] = Counter()
    for (name, rule), count in drops.rules.items():
        plain = _LIMIT.sub(lambda match: " low" if match.group(1) == "<" else " high", rule)
        counts[f"{name}: {plain}"] += count
    found = sorted(counts.items(), key=lambda rule: (-rule[1], rule[0]))[:most]
    return ", ".join(f"{rule} {count / drops.documents:.1%}" for rule, count in found)


def sets_table(results: Results) -> Table:
    """Per set: documents, share dropped, by which rules."""
    rows = []
    for name in results.sets:
        drops = results.dropped([name])
        rows.append([name, f"{drops.documents:,}", f"{drops.dropped:.1%}", _rules(drops)])
    return Table(
        "Dropped by the default chain, by set, and the rules that were the first to say no",
        ["set", "documents", "dropped", "rules"],
        rows,
    )


def filters_table(results: Results) -> Table:
    """Per filter: share of good documents that it alone drops, by kind of text, beside that of bad pages."""
    groups = _groups(results)
    rows = []
    for name in [*results.filters, CHAIN]:
        cells = []
        for drops in [results.bad, *(results.dropped(sets) for sets in groups.values())]:
            count = drops.documents - drops.kept if name == CHAIN else drops.alone[name]
            cells.append(_share(count, drops.documents))
        rows.append([name, *cells])
    return Table(
        "Dropped by each filter alone, and by the chain: bad pages, and good text by kind",
        ["filter", "bad pages", *groups],
        rows,
    )


def languages_table(results: Results) -> Table:
    """Per language: documents (no cut excerpts, poems, cases), share dropped, what each filter alone drops, rules."""
    sets = [name for name in results.sets if SETS[name].group not in (EXCERPTS, POEMS) and "case" not in name]
    rows = []
    for language in {language for _, language in results.drops}:
        drops = results.dropped(sets, [language])
        if drops.documents >= LEAST and drops.kept < drops.documents:
            alone = [_share(drops.alone[name], drops.documents) for name in results.filters]
            rows.append(
                (drops.dropped, [language, f"{drops.documents:,}", f"{drops.dropped:.1%}", *alone, _rules(drops, 2)])
            )
    rows.sort(key=lambda row: (-row[0], row[1][0]))
    header = ["language", "documents", "dropped", *results.filters, "rules"]
    return Table(
        f"Dropped, by language ({LEAST} documents and more), and by each filter alone", header, [row for _, row in rows]
    )


def declarations_table(results: Results) -> Table:
    """The UDHR in languages that are labelled surely and rightly, and dropped."""
    rows = []
    for (name, language), drops in results.drops.items():
        if name == "udhr" and drops.sure_kept < drops.sure:
            rows.append([language, f"{drops.sure}", f"{drops.sure_kept}", _rules(drops)])
    return Table("Surely labelled UDHR texts that are dropped", ["language", "texts", "kept", "rules"], sorted(rows))


def natural_table(results: Results) -> Table:
    """Natural HPLT pages by language: kept as the excerpts were cut, and as far as their sentences are whole."""
    cut = rates(results, "hplt_cut")
    rows = []
    for language, (rate, pages) in sorted(rates(results, "hplt").items(), key=lambda item: (-item[1][0], item[0])):
        as_cut = f"{float(cut[language][0]):.1%}" if language in cut else ""
        rows.append([language, f"{pages}", f"{float(rate):.1%}", as_cut, _rules(results.dropped(["hplt"], [language]))])
    title = (
        "Natural HPLT pages kept: two excerpts of 500 characters, without lines, as far as their sentences are whole, "
        "and as they were cut, which rules on lines judge oddly"
    )
    return Table(title, ["language", "pages", "kept", "kept as cut", "rules"], rows)


# -- structure and bars -----------------------------------------------------------------------------------------------


def survival_table(results: Results) -> Table:
    """Per set: pieces of structure of kept documents before and after, lost ones, and those with redactions in them."""
    rows = []
    total = [Counter[str](), Counter[str](), Counter[str](), Counter[str]()]
    for name, survival in results.survival.items():
        counts = (survival.before, survival.after, survival.lost, survival.edited)
        if survival.before.total() or survival.after.total():
            rows.append([name, *(_cell(*(count[kind] for count in counts)) for kind in ELEMENTS)])
        for sum_, count in zip(total, counts, strict=True):
            sum_.update(count)
    rows.append(["all", *(_cell(*(count[kind] for count in total)) for kind in ELEMENTS)])
    title = "Structure of kept documents: before > after the chain (of those before: -lost, ~edited)"
    return Table(title, ["set", *ELEMENTS], rows)


def _cell(before: int, after: int, lost: int, edited: int) -> str:
    if not before and not after:
        return ""
    changed = f" (-{lost:,} ~{edited:,})" if lost or edited else ""
    return f"{before:,} > {after:,}{changed}"


def bars_table(found: Sequence[Bar]) -> Table:
    """The bars, met or missed."""
    words = {True: "met", False: "MISSED", None: "not measured"}
    rows = [[bar.name, bar.wanted, words[bar.met], bar.measured] for bar in found]
    return Table("Bars", ["bar", "wanted", "", "measured"], rows)


def tables(results: Results, found: Sequence[Bar]) -> Iterator[Table]:
    """Yield all tables that have rows, in the order in which they are printed."""
    makers = (
        edits_table, harm_table, redactions_table, recall_table, sets_table, filters_table, languages_table,
        declarations_table, natural_table, survival_table,
    )  # fmt: skip
    for make in makers:
        table = make(results)
        if table.rows:
            yield table
    yield bars_table(found)
