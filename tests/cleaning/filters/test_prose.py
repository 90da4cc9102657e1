"""The view of prose that the default chain judges, against plain Python on lines."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.filters.registry import load_filter
from autoclave.cleaning.signals import run_filters
from autoclave.cleaning.transforms.protected import protected_spans

SENTENCE = "It was the best of times, and the people of the town went to see what they could have.\n"


def view(text: str) -> tuple[str, float]:
    chosen = load_filter("prose", {"rewrite": True}, "paper", "test")
    edited, signals = run_filters(pa.array([text]), [chosen], ["en"])
    return edited[0].as_py(), signals["prose_ratio"][0].as_py()


@pytest.mark.parametrize(
    ("block", "left"),
    [
        ("```python\nx = [1]\n```\n", ""),
        ("    indented = 1\n    code = 2\n", ""),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |\n", ""),
        ("$$\nc = a n + b\n$$\n", ""),
        ("## A heading\n", "A heading\n"),
        ("#hashtag #another\n", "#hashtag #another\n"),
        ("Use `code` and $x$ here.\n", "Use `code` and $x$ here.\n"),
        ("- one\n- two\n", "- one\n- two\n"),
    ],
)
def test_whole_lines_that_are_no_prose_are_not_judged(block: str, left: str) -> None:
    text, ratio = view(SENTENCE + block + SENTENCE)
    assert text == SENTENCE + left + SENTENCE
    assert ratio == pytest.approx(len(text) / (2 * len(SENTENCE) + len(block)))


def test_a_document_that_is_nearly_all_code_is_judged_as_it_came() -> None:
    code = "```\n" + "size = buf[4]\n" * 60 + "```\n"
    assert view(SENTENCE + code) == (SENTENCE + code, 1.0)


LINES = st.sampled_from(
    ["prose it is", "# head", "####### seven", "    code", "\tcode", "| a | b |", "```", "~~~", "$$", "", "é"]
)


def plain(text: str) -> str:
    """The same from the spans, line by line."""
    data, left = text.encode(), []
    spans = protected_spans(data)
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        span = next((span for span in spans if span[0] == at), None)
        if span is not None and (span[1] == len(data) or data[span[1] : span[1] + 1] == b"\n"):
            at = min(span[1] + 1, len(data))
            continue
        inside = any(start < at < stop for start, stop in spans)
        line = data[at:end]
        marks = len(line) - len(line.lstrip(b"#"))
        if 1 <= marks <= 6 and line[marks : marks + 1] == b" " and not (span or inside):
            line = line[marks + 1 :]
        left.append(line)
        at = end
    result = b"".join(left)
    return text if 4 * len(result) < len(data) else result.decode()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(LINES, max_size=14), st.booleans())
def test_the_kernel_equals_plain_python(lines: list[str], ends: bool) -> None:
    text = "\n".join(lines) + ("\n" if ends else "")
    assert view(text)[0] == plain(text)


def test_pages_with_much_code_stay() -> None:
    """What C4's, FineWeb's and Gopher's rules would drop for its code: repeated lines, no full stops, braces."""
    code = "```\n" + "".join(f"set({n});\n" for n in range(3)) * 6 + "```\n"
    text = "".join(
        f"Section {n} tells of a setting that has a name and a value, and of how to change it.\n\n{code}\n"
        for n in range(8)
    )
    chain = [pa.array([text]), pa.array(["en"])]
    kept = Chain(CleanSettings(language=None)).measure(*chain)[1]
    assert kept["duplicate_line_ratio"][0].as_py() < 0.3
    assert kept["line_punctuation_ratio"][0].as_py() == 1.0
