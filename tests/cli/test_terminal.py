"""What a crawl holds never reaches a terminal as a command: ANSI, OSC, C1, reversed text, links; HTML stays escaped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from commands import call
from typer.testing import CliRunner

from autoclave.cli.main import app
from autoclave.pipelines.running.guards.printable import printable, printable_json

HOSTILE = (
    "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\"
    "\x9b31m\x9d0;t\x9c\x7f\b\b\r \u202egnp.exe\u202c \u2066a\u2069\u2028"
    "[link=http://evil.example]here[/link][bold]b[/bold]<script>alert(1)</script>"
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\r?\x1b\[2K|\x1b\[1A|\r(?=\x1b\[2K|$)")
"""What rich itself sends: styles, and how it draws its bars again."""
CLEAN = {"language": None, "transforms": [], "filters": []}
WORDS = "The people of the town went to see what they could have, and it was the best of times that they had. "


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over documents whose text, URL, host, language and metadata hold commands, and a file whose name does."""
    folder = tmp_path_factory.mktemp("hostile")
    crawl = folder / "crawl"
    crawl.mkdir()
    documents = [
        {
            "text": f"{WORDS * 9}{HOSTILE} {number // 2}",
            "url": f"http://evil{HOSTILE}/{number}\nalarm: all is lost",
            "language": HOSTILE,
            "metadata": {"title": HOSTILE},
        }
        for number in range(30)
    ]
    lines = [*map(json.dumps, documents), "{" + HOSTILE.replace("\n", "")]
    (crawl / "in\x1b[31m\u202e\n.jsonl").write_text("\n".join(lines).replace("\r", ""))
    (crawl / "bad\x1b[31m\u202e.jsonl").write_text("\x1b[2Jno JSON\n")
    recipe: dict[str, object] = {
        "name": "hostile",
        "inputs": [str(crawl)],
        "stages": {
            "extract": {},
            "clean": CLEAN,
            "dedup": {"minhash": None},
        },
    }
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder


@pytest.fixture(params=["0", "1"], ids=["pipe", "terminal"])
def colour(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether rich takes what it prints on for a terminal."""
    if request.param == "1":
        monkeypatch.setenv("FORCE_COLOR", "1")
    return str(request.param)


def check(output: str) -> None:
    own = OWN.sub("", output)
    left = OBEYED.search(own)
    assert left is None, repr(own[max(0, left.start() - 40) : left.end() + 20])
    assert "\x1b[31mred" not in output
    assert "\nalarm: all is lost" not in output


def command(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.output


def test_no_command_of_a_crawl_reaches_the_terminal(hostile_run: Path, colour: str) -> None:
    run = hostile_run / f"run{colour}"
    output = command("run", hostile_run / "r.yaml", "--run-dir", run, "--workers", "0", "--on-lost-shard", "continue")
    check(output)
    assert "first bad\\x1b[31m\\u202e.jsonl" in " ".join(output.split())
    doc_id = json.loads(call("inspect", run, "sample", "--json"))[0]["verdict"]["doc_id"]
    for arguments in (
        ["funnel"],
        ["sample"],
        ["sample", "--kept"],
        ["document", doc_id],
        ["cluster"],
        ["cluster", doc_id],
        ["errors"],
        ["histogram", "text_bytes"],
    ):
        for json_option in ([], ["--json"]):
            output = command("inspect", run, *arguments, *json_option)
            check(output)
            if json_option and arguments[0] != "cluster":
                json.loads(output)
    check(command("explain", next(hostile_run.glob("crawl/in*.jsonl"))))
    report = (run / "report.html").read_text() if (run / "report.html").exists() else ""
    assert "<script>" not in report


def test_json_keeps_its_values(hostile_run: Path, colour: str) -> None:
    run = hostile_run / f"run{colour}"
    found = json.loads(call("inspect", run, "sample", "--json"))
    assert HOSTILE.replace("\b", "").split("<script>")[0][:4] in found[0]["document"]["url"]
    value = {"text": HOSTILE}
    assert json.loads(printable_json(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x9b\x85\x7f\x00", "\\x9b\\x85\\x7f\\x00"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("\ud800", "\\ud800"),
        ("line\n\ttab", "line\n\ttab"),
        ("naïve 中文 שלום مرحبا 👩\u200d👩 e\u0301 \u200e", "naïve 中文 שלום مرحبا 👩\u200d👩 e\u0301 \u200e"),
    ],
)
def test_what_is_shown_instead(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_name_stays_on_its_line() -> None:
    assert printable("a\nerror: b\tc\r", lines=False) == "a\\nerror: b\\tc\\r"
