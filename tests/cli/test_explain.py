"""`autoclave explain`: the same verdicts and values as a run, for pages, texts, archives and standard input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from autoclave.cleaning.filters.registry import MODULES, dialects_of
from autoclave.cli import explain
from autoclave.corpus.storage import Folder
from autoclave.errors import AutoclaveError, InputError, RecipeError
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.recipe import check_recipe
from autoclave.pipelines.running.run import run_recipe

SENTENCES = [
    "The river that runs past the old town has moved its bed more than once, and the people there know it well.",
    "In spring the water rises and takes the sand from one bank to the other, where it stays until the next year.",
    "Nobody has stopped it so far, and with the sand go the trees that held the bank together for a century.",
    "The maps of the county show four different courses, which is why the border no longer follows the water.",
    "Farmers on both sides have learned to plant late, and to leave the lowest fields to grass and to the geese.",
]


def page(*paragraphs: str) -> str:
    body = "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs)
    return f"<!doctype html><html><head><title>River</title></head><body><article>\n{body}</article></body></html>"


def call(*arguments: object, stdin: str | None = None) -> str:
    app = typer.Typer()
    explain.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)], input=stdin)
    if isinstance(result.exception, AutoclaveError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(*arguments: object, stdin: str | None = None) -> Any:
    return json.loads(call(*arguments, "--json", stdin=stdin))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.html"
    path.write_text(page(*SENTENCES), encoding="utf-8")
    return path


@pytest.fixture
def short(tmp_path: Path) -> Path:
    path = tmp_path / "short.html"
    path.write_text(page(SENTENCES[0]), encoding="utf-8")
    return path


def rule(explanation: Any, signal: str) -> Any:
    return next(rule for step in explanation["steps"] for rule in step["rules"] if rule["signal"] == signal)


def test_a_text_that_edits_leave_empty_goes_by_that_name(tmp_path: Path) -> None:
    (tmp_path / "link.txt").write_text("https://rivers.example/maps\n")
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nstages: {extract: {}, clean: {transforms: [strip_urls]}}\n")
    found = answer(tmp_path / "link.txt", "--recipe", recipe)
    assert (found["kept"], found["filter"], found["reason"]) == (False, "empty", "text_bytes")
    assert found["text"].strip() == ""
    last = found["steps"][-1]
    assert (last["name"], last["kept"], last["reason"]) == ("empty", False, "text_bytes")


def test_a_good_page_is_kept(good: Path) -> None:
    found = answer(good)
    assert found["kept"]
    assert all(step["kept"] for step in found["steps"])
    assert found["steps"][0]["kind"] == "extract"
    assert all(sentence[:40] in found["text"] for sentence in SENTENCES)


def test_a_short_page_fails_the_rule_on_words(short: Path) -> None:
    found = answer(short)
    assert not found["kept"]
    words = rule(found, "word_count")
    assert (words["low"], words["kept"]) == (50, False)
    assert 20 <= words["value"] <= 25  # 22 words; some readings count punctuation
    step = next(step for step in found["steps"] if step["name"] == "gopher_quality")
    assert step["reason"] == "word_count < 50"
    assert "fails" in call(short)


def test_an_explanation_says_what_a_run_says(good: Path, short: Path, tmp_path: Path) -> None:
    recipe = check_recipe(
        {"name": "t", "inputs": [str(good), str(short)], "stages": {"extract": None, "clean": None}}, "t"
    )
    run_recipe(recipe, str(tmp_path / "run"), InProcessEngine())
    rows = [
        row
        for p in sorted((tmp_path / "run" / "02-clean" / "ledger").iterdir())
        for row in pq.read_table(p).to_pylist()
    ]
    assert len(rows) == 2
    explained = [answer(path) for path in (good, short)]
    for row in rows:
        found = next(e for e in explained if rule(e, "word_count")["value"] == row["word_count"])
        assert (found["kept"], found["filter"], found["reason"]) == (row["kept"], row["filter"], row["reason"])
        for step in found["steps"]:
            for one in step["rules"]:
                assert one["value"] == row[one["signal"]]
            if step["kind"] == "transform":
                assert step["changes"] == row[f"{step['name']}_changes"]


def test_a_recipe_changes_the_verdict(short: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nstages: {extract: {}, clean: {min_words: 10, filters: [gopher_quality]}}\n")
    found = answer(short, "--recipe", recipe)
    assert rule(found, "word_count")["low"] == 10
    assert [step["name"] for step in found["steps"] if step["kind"] == "filter"] == ["gopher_quality"]
    recipe.write_text("name: r\nstages: {clean: {min_word: 10}}\n")
    with pytest.raises(RecipeError, match="min_words"):
        call(short, "--recipe", recipe)


def test_standard_input_and_texts_of_any_name(tmp_path: Path, good: Path) -> None:
    text = "\n".join(SENTENCES)
    (tmp_path / "notes.md").write_text(text, encoding="utf-8")
    by_name = answer(tmp_path / "notes.md")
    assert rule(answer("-", stdin=text), "word_count") == rule(by_name, "word_count")
    assert by_name["kept"]
    assert answer("-", stdin=page(*SENTENCES))["text"] == answer(good)["text"]


def test_a_record_of_an_archive(tmp_path: Path) -> None:
    lines = [json.dumps({"text": " ".join(SENTENCES[:n]), "url": f"https://x.example/{n}"}) for n in range(1, 6)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
    counts = []
    for record in range(5):
        found = answer(tmp_path / "docs.jsonl", "--record", record)
        assert (found["records"], found["record"], found["url"]) == (5, record, f"https://x.example/{record + 1}")
        counts.append(rule(found, "word_count")["value"])
    assert counts == sorted(set(counts))
    with pytest.raises(InputError, match="no record 5, it has 5"):
        call(tmp_path / "docs.jsonl", "--record", 5)


FOREIGN = {
    3: "Der Fluss, der an der alten Stadt vorbeifließt, hat sein Bett mehr als einmal verlegt, und alle wissen es gut.",
    5: "Les cartes du comté montrent quatre cours différents, ce qui explique pourquoi la frontière ne le suit plus.",
}
"""Line number -> a line in another language."""


def diffs(found: Any) -> dict[str, list[tuple[int, str, str]]]:
    return {
        step["name"]: [
            (change["line"], "|".join(change["before"]), "|".join(change["after"])) for change in step["diff"]
        ]
        for step in found["steps"]
        if step["kind"] == "transform"
    }


def test_edits_show_what_they_changed_as_a_diff(tmp_path: Path) -> None:
    lines = [*SENTENCES[:2], FOREIGN[3], *SENTENCES[2:3], FOREIGN[5], *SENTENCES[3:]]
    lines[1] += " What a river!!!!!!!! And so wide???????"
    lines[6] += " See https://rivers.example/a?b=c for the maps of it, or ask ranger.smith@rivers.org about them."
    (tmp_path / "t.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nstages: {clean: {language: {keep: null}, filters: [gopher_quality], transforms: "
        "[strip_foreign_lines, strip_urls, collapse_punctuation, {redact_pii: {kinds: fineweb}}, normalise_unicode]}}\n"
    )
    found = answer(tmp_path / "t.txt", "--recipe", recipe)
    shown = diffs(found)
    assert shown["strip_foreign_lines"] == [(3, FOREIGN[3], ""), (5, FOREIGN[5], "")]
    [(line, before, after)] = shown["strip_urls"]
    assert line == 5  # two lines went before
    assert "See https://rivers.example/a?b=c for the maps of it" in before
    assert before.replace("https://rivers.example/a?b=c ", "") == after
    [(line, before, after)] = shown["collapse_punctuation"]
    assert (line, before.endswith("What a river!!!!!!!! And so wide???????")) == (2, True)
    assert after.endswith("What a river! And so wide?")
    [(line, before, after)] = shown["redact_pii"]
    assert (line, "ranger.smith@rivers.org" in before, "ranger" in after) == (5, True, False)
    [step] = [step for step in found["steps"] if step["name"] == "redact_pii"]
    assert step["details"] == {"kinds": "fineweb"}
    assert shown["normalise_unicode"] == []
    assert before[: before.index("ranger")] == after[: before.index("ranger")]  # the context is the same

    said = call(tmp_path / "t.txt", "--recipe", recipe).splitlines()
    first = next(place for place, text in enumerate(said) if text.startswith("transform strip_foreign_lines"))
    assert [text.strip() for text in said[first + 1 : first + 5]] == [
        "line 3", f"- {FOREIGN[3]}", "line 5", f"- {FOREIGN[5]}",
    ]  # fmt: skip


def test_filters_that_edit_show_their_diff(tmp_path: Path) -> None:
    """C4 and RefinedWeb take lines out, decontamination a span; each works on what the one before it left."""
    lines = [*SENTENCES[:2], "Please enable javascript in your browser now.", *SENTENCES[2:], "3 likes", SENTENCES[1]]
    (tmp_path / "t.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "set.jsonl").write_text(json.dumps({"question": SENTENCES[3]}) + "\n")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nstages: {clean: {language: null, transforms: [], filters: [{c4: {dialect: datatrove, "
        "terminal_punctuation: false}}, refinedweb, gopher_quality, {decontamination: {action: spans, sets: "
        f"[{tmp_path / 'set.jsonl'}]}}}}]}}}}\n"
    )
    found = answer(tmp_path / "t.txt", "--recipe", recipe)
    shown = {step["name"]: step["diff"] for step in found["steps"] if step["kind"] == "filter"}
    removed = [line for change in shown["c4"] for line in change["before"]]
    assert lines[2] in removed
    assert "3 likes" in removed + [line for change in shown["refinedweb"] for line in change["before"]]
    assert shown["gopher_quality"] == []
    [span] = shown["decontamination"]
    assert "the border no longer follows the water" in "".join(span["before"])
    assert "".join(span["after"]).strip() == "."
    assert SENTENCES[3] not in found["text"]
    assert found["steps"][-1]["characters"] == len(found["text"])
    assert "- Please enable javascript in your browser now." in call(tmp_path / "t.txt", "--recipe", recipe)


def test_a_long_diff_is_cut_and_can_be_had_whole(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join(f"{line} Oh!!!!!!!{number}" for number, line in enumerate(SENTENCES)))
    assert len(diffs(answer(tmp_path / "t.txt"))["collapse_punctuation"]) == 1  # neighbouring lines are one place
    spaced = [text for number, line in enumerate(SENTENCES) for text in (line, f"{line[::-1]} Oh!!!!!!!{number}")]
    (tmp_path / "t.txt").write_text("\n".join(spaced))
    assert "2 more places (--changes 0 shows all)" in call(tmp_path / "t.txt")
    assert call(tmp_path / "t.txt", "--changes", 0).count("Oh!!!!!!!") == 5


def test_dialects(short: Path) -> None:
    found = answer(short, "--dialects")
    expected = [(name, dialect) for name in MODULES for dialect in dialects_of(name)]
    assert [(one["filter"], one["dialect"]) for one in found["dialects"]] == expected
    assert not any(one["kept"] for one in found["dialects"] if one["filter"] == "gopher_quality")
    used = [(one["filter"], one["dialect"]) for one in found["dialects"] if one["used"]]
    assert used == [
        ("prose", "paper"), ("gopher_quality", "paper"), ("gopher_repetition", "datatrove"), ("c4", "datatrove"),
        ("fineweb", "paper"),
    ]  # fmt: skip
    assert "Dialects" in call(short, "--dialects")


def test_dialects_of_a_chain_whose_dialect_a_family_does_not_have(short: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nstages: {clean: {dialect: dclm, filters: [gopher_quality, fineweb, c4]}}\n")
    found = answer(short, "--dialects", "--recipe", recipe)
    used = [(one["filter"], one["dialect"]) for one in found["dialects"] if one["used"]]
    assert used == [("gopher_quality", "dclm"), ("c4", "dclm"), ("fineweb", "paper")]
    steps = {step["name"]: step["details"].get("dialect") for step in found["steps"] if step["kind"] == "filter"}
    assert steps == {"gopher_quality": "dclm", "fineweb@paper": "paper", "c4": "dclm"}


def test_a_page_that_extraction_drops(tmp_path: Path) -> None:
    (tmp_path / "empty.html").write_text("<!doctype html><html><body></body></html>")
    found = answer(tmp_path / "empty.html")
    assert (found["kept"], found["filter"], found["reason"]) == (False, "extract", "empty")
    assert len(found["steps"]) == 1
    assert "dropped by extract: empty" in call(tmp_path / "empty.html")


def test_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.html"):
        call(tmp_path / "absent.html")
    (tmp_path / "bad.warc").write_bytes(b"WARC/1.0\r\nbroken")
    with pytest.raises(InputError, match="no record 0"):
        call(tmp_path / "bad.warc")


def test_nothing_is_left_behind(good: Path) -> None:
    before = sorted(good.parent.iterdir())
    call(good)
    assert sorted(good.parent.iterdir()) == before
    assert not Folder(good.parent).files("extract*")
