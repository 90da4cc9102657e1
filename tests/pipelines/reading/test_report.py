"""report.html: complete, self-contained, the same bytes twice, and safe to open whatever the crawl held."""

from __future__ import annotations

import importlib.util
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoclave.corpus.output import Verdicts
from autoclave.corpus.storage import Folder
from autoclave.pipelines.reading.ledgers import open_stages
from autoclave.pipelines.reading.report import choose_signals, read_losses, write_report
from autoclave.pipelines.running.funnel import Summary, find_alarms, read_funnel, write_summary

pytest.importorskip("matplotlib")

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> & $\\alpha$ 中文'


def toy_runs() -> Any:
    """The run that the tests of `inspect` use."""
    path = Path(__file__).parents[2] / "cli" / "conftest.py"
    specification = importlib.util.spec_from_file_location("toy_runs", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Page(HTMLParser):
    """Tags, references and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        self.references += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    toys = toy_runs()
    folder = toys.make_run(tmp_path_factory.mktemp("report") / "demo")
    verdicts = Verdicts(np.array([False]), ["odd<filter>"], ["$reason$ & more"])
    toys.write_stage(folder / "04-selfclean", 0, toys.batch(0, [100], [HOSTILE]), verdicts)
    for place, losses in {
        "04-selfclean/phases/round-1/models/models/000001": [7.0, 6.5],
        "05-train": [9.0, None, 3.25],
    }.items():
        (folder / place).mkdir(parents=True)
        lines = [json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in enumerate(losses)]
        (folder / place / "metrics.jsonl").write_text("".join(lines))
    run = Folder(folder)
    rows = read_funnel(run)
    alarms = [*find_alarms(rows), "look <b>here</b>"]
    write_summary(run, Summary(name="demo & co", stages=rows, alarms=alarms, results={"tokens": 123456.0}))
    (folder / "recipe.yaml").write_text("name: demo\n")
    write_report(run)
    return folder


@pytest.fixture(scope="module")
def page(finished: Path) -> Page:
    return Page((finished / "report.html").read_text(encoding="utf-8"))


def test_same_run_same_page(finished: Path) -> None:
    before = (finished / "report.html").read_bytes()
    write_report(Folder(finished))
    assert (finished / "report.html").read_bytes() == before


def test_page_needs_nothing_else(page: Page) -> None:
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "img" not in page.tags
    assert [reference for reference in page.references if not reference.startswith("#")] == []


def test_page_has_the_figures(page: Page) -> None:
    assert page.tags.count("svg") == 1 + 1 + 1  # funnel, word_count, losses
    for expected in ("word_count < 50", "rules_short drops < 50: 8", "demo & co", "look <b>here</b>", "123,456"):
        assert expected in page.text
    for expected in ("0.warc:99", "near_duplicate", "name: demo", "3.25", "05-train"[3:]):
        assert expected in page.text


def test_texts_of_the_crawl_stay_texts(page: Page, finished: Path) -> None:
    assert HOSTILE in page.text
    assert "$reason$ & more" in page.text
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "<script" not in (finished / "report.html").read_text(encoding="utf-8")


def test_losses_of_all_models(finished: Path) -> None:
    assert read_losses(open_stages(str(finished))) == {
        "selfclean round-1 model 000001": [(0, 7.0), (1, 6.5)],
        "train": [(0, 9.0), (2, 3.25)],
    }


def test_signals_that_dropped_something_are_shown(finished: Path) -> None:
    chosen = {stage.label: choose_signals(stage) for stage in open_stages(str(finished))}
    assert chosen == {"extract": [], "clean": ["word_count"], "dedup": [], "selfclean": [], "train": []}
