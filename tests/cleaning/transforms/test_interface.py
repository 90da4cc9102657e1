"""Lines of interface: what goes in each language, what must stay, and how often it is right on labelled lines."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.transforms.interface import NOTICE_BYTES, find_interface_lines, phrases
from autoclave.cleaning.transforms.registry import DEFAULT_TRANSFORMS, TRANSFORMS

LANGUAGES = ["en", "zh-Hans", "zh-Hant", "de", "fr", "es", "it", "pt", "nl", "ru", "uk", "pl", "sv", "da", "no"]
LANGUAGES += ["fi", "cs", "tr", "ja", "ko", "ar", "fa", "vi", "id", "ro", "el", "hu", "he", "hi", "th"]
BEFORE, AFTER = "The boats lay at the pier.", "By noon the wind had changed."


def strip(text: str) -> str:
    return TRANSFORMS["strip_interface_lines"].apply(pa.array([text], pa.string()))[0][0].as_py()


def goes(line: str) -> bool:
    stripped = strip(f"{BEFORE}\n{line}\n{AFTER}")
    assert stripped in (f"{BEFORE}\n{AFTER}", f"{BEFORE}\n{line}\n{AFTER}")
    return line not in stripped


def documents(path: Path) -> Iterator[dict]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)


def test_it_is_the_last_of_the_default_transforms() -> None:
    assert DEFAULT_TRANSFORMS[-1] == "strip_interface_lines"
    assert list(phrases()) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_goes_in_any_dress(language: str) -> None:
    kept = []
    for phrase in phrases()[language]:
        line = phrase.removesuffix(" *").replace("0", "1,234")
        kept += [dress for dress in (line, f"  • {line}", f"→ {line}\t\r") if not goes(dress)]
        if not phrase.endswith((" ...", "i", "ı")) and len(line.upper()) == len(line) and line.upper().lower() == line:
            kept += [] if goes(line.upper()) else [line.upper()]
    assert kept == []


@pytest.mark.parametrize(
    "line",
    [
        "12 comments",
        "(3) Comments",
        "1.204 Kommentare",
        "٣ تعليقات",
        "Page 2 of 17",
        "Loading…",
        "Loading...",
        "READ MORE >",
        "We use cookies to give you the best experience.",
        "🔗 Share on Facebook",
        "下一页 →",
        "Nächste Seite ››",
    ],
)
def test_lines_that_go(line: str) -> None:
    assert goes(line)


@pytest.mark.parametrize(
    "line",
    [
        "Related",
        "Comments",
        "Kommentare",
        "评论",
        "Print",
        "Log in",
        "Loading",
        "# Read more",
        "### Share",
        "Read more?",
        "12 comments:",
        "12 read more",
        "“Reply”",
        '"Share"',
        "share()",
        "next_page;",
        "/share",
        "<share>",
        "Share price",
        "Read more about boats",
        "Please leave a comment",
        "I use cookies to bake.",
        "Back to top form",
        "Comments (3)",
        "We use cookies to " + "x" * NOTICE_BYTES,
        "    Read more",
        "\tRead more",
        "| Read more |",
        "||Read more ||",
        "`Read more`",
        "",
    ],
)
def test_lines_that_stay(line: str) -> None:
    assert strip(f"{BEFORE}\n{line}\n{AFTER}") == f"{BEFORE}\n{line}\n{AFTER}"


@pytest.mark.parametrize(
    "text",
    [
        "```\nRead more\n```",
        "~~~\n\nRead more\n\n~~~",
        "$$\nshare\n$$",
        "\\begin{verbatim}\nNext page\n\\end{verbatim}",
        "Read more\n=========",
        "Share this\n---",
        "Read more",
        "Read more\n\nBack to top\n",
        "",
        "\n\n",
    ],
)
def test_protected_spans_headings_and_texts_of_nothing_else_stay(text: str) -> None:
    assert strip(text) == text


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("a\nRead more\nb", "a\nb"),
        ("a\n\nRead more\nb", "a\n\nb"),
        ("a\nRead more\n \t\nb", "a\n\nb"),
        ("a\n\n\nRead more\n\nShare\n\n\n\nb", "a\n\nb"),
        ("a\n\n\n\nb\nRead more\nc\n\n\nd", "a\n\n\n\nb\nc\n\n\nd"),
        ("Read more\n\na\n\n\nb", "a\n\n\nb"),
        ("a\n\nRead more", "a"),
        ("a\n\nRead more\n\n", "a\n"),
        ("a  \nRead more\n  b", "a  \n  b"),
        ("a\r\n\r\nRead more\r\n\r\nb\r\n", "a\r\n\nb\r\n"),
        ("a\n\nRead more\n\n    code", "a\n\n    code"),
    ],
)
def test_blank_lines_around_what_goes_become_one(text: str, stripped: str) -> None:
    assert strip(text) == stripped


PIECES = [
    "Read more",
    "Share",
    "12 comments",
    "text",
    "",
    " ",
    "```",
    "    code",
    "---",
    "# Share",
    "$x$",
    "`a",
    "b`",
    "é",
    "\r",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_twice_is_once_and_nothing_else_goes(lines: list[str]) -> None:
    text = "\n".join(lines)
    stripped = strip(text)
    assert strip(stripped) == stripped
    lost = Counter(line for line in text.split("\n") if line.strip())
    lost.subtract(line for line in stripped.split("\n") if line.strip())
    assert set(+lost) <= {"Read more", "Share", "12 comments"}
    assert not -lost


def test_rows_do_not_see_one_another() -> None:
    text = pa.array(["Read more", None, "x\nRead", " more", "", "x\nRead more\nShare"])
    assert find_interface_lines(text).tolist() == [1, 0, 0, 0, 0, 2]
    assert find_interface_lines(text.slice(2)).tolist() == [0, 0, 0, 2]


def test_labelled_lines(shared_data: Path) -> None:
    """Of 36,550 lines that people labelled, those removed are boilerplate in 99 % of cases, and in each language."""
    removed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for document in documents(shared_data / "quality_lines" / "docs.jsonl.zst"):
        found = find_interface_lines(pa.array(document["lines"], pa.string())) > 0
        removed[document["lang"]] += int(found.sum())
        right[document["lang"]] += sum(
            label == 0 for label, gone in zip(document["labels"], found, strict=True) if gone
        )
    assert min(removed["en"], removed["sv"]) > 50
    assert removed.total() > 250
    assert {
        code: right[code] / count for code, count in removed.items() if count >= 20 and right[code] < 0.99 * count
    } == {}
    assert right.total() >= 0.99 * removed.total()


@pytest.mark.parametrize(
    "name",
    [
        "tech_peps/peps",
        "tech_mdn_de_mt/mdn_de",
        "edu_openstax/sections",
        "zh_techdocs/docs",
        "lid_udhr/udhr",
        "books_eltec/novels",
        "zh_laws/laws",
        "quality_onestop/articles",
    ],
)
def test_good_text_loses_nothing(name: str, shared_data: Path) -> None:
    texts = [document["text"] for document in documents(shared_data / f"{name}.jsonl.zst")]
    _, changes = TRANSFORMS["strip_interface_lines"].apply(pa.array(texts, pa.string()))
    assert len(texts) >= 10
    assert changes.sum() == 0
