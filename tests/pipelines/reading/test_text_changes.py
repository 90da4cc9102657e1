"""A diff says everything: put in place of the old lines, the new ones make the other text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.pipelines.reading.text_changes import CONTEXT, LONGEST, Change, line_changes, shortened

texts = st.lists(st.sampled_from(["", "a", "b", "the same", "oné"]), max_size=12).map("\n".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(texts, texts)
def test_changes_make_the_other_text(before: str, after: str) -> None:
    lines = before.split("\n")
    found = line_changes(before, after)
    for change in reversed(found):  # from the end, so that line numbers stay
        place = slice(change.line - 1, change.line - 1 + len(change.before))
        assert lines[place] == change.before
        lines[place] = change.after
    assert "\n".join(lines) == after
    assert (found == []) == (before == after)


def test_common_ends_and_long_changes_are_shortened() -> None:
    line = "x" * 100
    short = shortened(Change(line=7, before=[f"{line} one {line}"], after=[f"{line} two {line}"]))
    assert short == Change(line=7, before=[f"…{'x' * 31} one {'x' * 31}…"], after=[f"…{'x' * 31} two {'x' * 31}…"])
    assert len(short.before[0]) == 2 * CONTEXT + len("one") + 2
    long = shortened(Change(line=1, before=["y" * 1000], after=[]))
    assert long.after == []
    assert long.before == [f"{'y' * 150} [… {1000 - LONGEST} characters …] {'y' * 150}"]
    blank = Change(line=1, before=[""], after=["", "c"])
    assert shortened(blank) == blank
