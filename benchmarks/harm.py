"""What cleaning does to good text: every default transform alone, and the default chain, over text known to be good.

    python -m benchmarks.harm                          # everything (about two minutes on one core)
    python -m benchmarks.harm --set peps own           # some sets, of good_text.sets.SETS
    python -m benchmarks.harm --transforms strip_urls,redact_pii --examples 20
    python -m benchmarks.harm --check --json harm.json # exit code 1 where a bar is missed; all figures into a file
    python -m benchmarks.harm --markdown               # the tables of docs/cleaning.md

A transform is charged with every letter that it loses or changes where nothing was damaged (ftfy says what is), but
for what it is there to take out: addresses of the web, tags of raw markup, personal data. Filters are charged with
every good document that they drop. Natural HPLT pages are excerpts without lines, cut within sentences, so that rules
on lines judge them oddly: their bar is printed for them as they are, and for their whole sentences. Same data, same
output.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where it is run by its path

from autoclave.errors import RecipeError
from benchmarks.data import add_data_option
from benchmarks.good_text.bars import Bar, bars
from benchmarks.good_text.kinds import KINDS
from benchmarks.good_text.measure import cleaners, measure
from benchmarks.good_text.sets import SETS
from benchmarks.good_text.tables import bars_table, edits_table, filters_table, sets_table, survival_table, tables
from benchmarks.good_text.tallies import PERSONAL, Results

NUMBERS = 5
"""Generated telephone numbers a country and type, each in about ten forms and three places."""


def examples(results: Results, kinds: str) -> Iterator[str]:
    """Yield what was changed, as people read it: transform, set and kind of change by themselves."""
    wanted = set(KINDS) if kinds == "all" else set(kinds.split(","))
    for (name, transform), edits in results.edits.items():
        for kind, shown in edits.examples.items():
            if kind in wanted:
                yield f"\n{transform} in {name}, {kind} ({KINDS[kind]}): {edits.kinds[kind]:,}"
                yield from (f"  {one}" for one in shown)
        if edits.wrong and transform == PERSONAL:
            yield f"\n{transform} in {name}, no personal data: {len(edits.wrong):,}"
            most = max((len(shown) for shown in edits.examples.values()), default=0)
            for place, found in edits.wrong[:most]:
                yield f"  {place}: {found.kind} {found.before[-30:]!r} >>{found.text}<< {found.after[:20]!r}"
    for (name, kind), pieces in results.lost.items():
        yield f"\nlost {kind} in {name}:"
        yield from (f"  {one}" for one in pieces)


def as_json(results: Results, found: list[Bar]) -> dict[str, Any]:
    """Return all figures, without examples."""
    edits = []
    for (name, transform), one in results.edits.items():
        row = {key: value for key, value in vars(one).items() if key not in ("examples", "wrong")}
        row["longest"] = [one.longest[0], one.longest[1], str(one.longest[2] or "")]
        row["longest_loss"] = [one.longest_loss[0], str(one.longest_loss[1] or "")]
        edits.append({"set": name, "edit": transform, **row})
    drops = []
    for (name, language), dropped in results.drops.items():
        rules = {f"{filter_name}: {rule}": count for (filter_name, rule), count in sorted(dropped.rules.items())}
        drops.append({"set": name, "language": language, **vars(dropped), "rules": rules})
    bad = {key: value for key, value in vars(results.bad).items() if key in ("documents", "kept", "alone")}
    return {
        "bars": [vars(bar) for bar in found],
        "edits": edits,
        "drops": drops,
        "bad pages": bad,
        "survival": {name: vars(survival) for name, survival in results.survival.items()},
        "recall": [[*group, *cell] for group, cell in results.recall.items()],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--set", action="extend", nargs="+", choices=list(SETS), help="sets (default: all)")
    parser.add_argument("--transforms", help="transforms to run alone, with commas between (default: the default ones)")
    parser.add_argument("--limit", type=int, help="documents of a set at most")
    parser.add_argument("--examples", type=int, default=3, help="changes of a kind, set and edit that are shown")
    parser.add_argument("--kinds", default="loss,damage,data,line", help=f"of which kinds: {', '.join(KINDS)}; or all")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument("--markdown", action="store_true", help="only the tables of docs/cleaning.md")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is missed")
    arguments = parser.parse_args()
    try:
        cleaning = cleaners(arguments.transforms.split(",") if arguments.transforms else None)
    except RecipeError as error:
        parser.error(str(error))
    sets = arguments.set or list(SETS)
    bad = arguments.set is None
    results = measure(arguments.data, sets, cleaning, arguments.limit, arguments.examples, NUMBERS, bad)
    found = bars(results)
    if arguments.markdown:
        for make in (edits_table, filters_table, sets_table, survival_table):
            print(make(results).markdown())
        print(bars_table(found).markdown())
    else:
        print("\n".join(examples(results, arguments.kinds)))
        print("\n".join(table.text() for table in tables(results, found)))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(results, found), indent=1, ensure_ascii=False), encoding="utf-8")
    return int(arguments.check and any(bar.met is False for bar in found))


if __name__ == "__main__":
    sys.exit(main())
