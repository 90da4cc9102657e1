"""Dialects: whose reading of a published rule is meant.

'Gopher' is not one filter. The implementations share the paper's thresholds and differ in what they count, so that
they disagree on a large part of real pages; a recipe therefore names the dialect, once for the chain or per filter.
"""

from __future__ import annotations

from autoclave.errors import RecipeError

DIALECTS = {
    "paper": "the text of the paper read literally: words between white space (by script where none is written)",
    "datatrove": "datatrove 0.10 (FineWeb): tokens, punctuation marks among them; second and later repeats count",
    "dclm": "DCLM (RefinedWeb reproduction): UAX #29 words; every occurrence of what is repeated counts",
    "dolma": "Dolma 1.2 gopher_v2 and c4_v2: words between white space; median length; no paragraphs",
    "curator": "NeMo Curator's English heuristics: words between white space; characters of the whole text below",
}
"""The dialects and what each is."""

DEFAULT_DIALECT = "paper"
"""Chosen on labelled pages (`benchmarks.filters.dialects`; docs/results.md, "Which dialect"): family by family on one
half, and the chain of these choices is the best one on the other half too. Only two readings serve Chinese; the other
three keep none of the Chinese pages that people called good. Of the English ones `paper` keeps 86 % and `datatrove`
79 %; of those that people called bad they drop 50 % and 70 %. But punctuation marks count as words in `datatrove`, so
that code, tables and formulas fail the rule on alphabetic words: of specifications it keeps 3 % (`paper` 79 %), of
text books 9 % (45 %). A filter's losses are final, and what it lets through is judged again by the later stages. Only
Gopher's repetition is better as datatrove counts it, above all in Chinese, and the default chain names it so
(`cleaning.chain.DEFAULT_FILTERS`). For a corpus that is to equal FineWeb, or that is prose alone, set `dialect:
datatrove`."""


def check_dialect(name: str, known: dict[str, object] | None = None, where: str = "clean.dialect") -> str:
    """Return `name`; RecipeError where no such dialect exists (or not among `known`)."""
    names = list(DIALECTS if known is None else known)
    if name not in names:
        raise RecipeError(f"{where}: no dialect '{name}'; choose one of {', '.join(names)}")
    return name
