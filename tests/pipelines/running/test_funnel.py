"""The funnel: commits folded into rows, and what raises an alarm."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from autoclave.corpus.commits import Commit, write_commit
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError
from autoclave.pipelines.running.funnel import (
    StageRow,
    Summary,
    find_alarms,
    fold,
    read_funnel,
    read_summary,
    write_summary,
)


def commit(shard: int, kept: int, dropped: dict[str, dict[str, int]], errors: int = 0) -> Commit:
    gone = sum(sum(reasons.values()) for reasons in dropped.values())
    return Commit(
        stage="clean",
        shard=f"{shard:06d}",
        fingerprint="f",
        inputs=[],
        documents_in=kept + gone + errors,
        kept=kept,
        dropped=gone,
        errors=errors,
        dropped_by=dropped,
        bytes_in=100 * (kept + gone),
        bytes_kept=100 * kept,
        counts={"edits": kept},
    )


def write_stage(run: Path, name: str, commits: list[Commit]) -> None:
    for one in commits:
        write_commit(Folder(run / name), one)


def test_rows_are_sums_over_shards(tmp_path: Path) -> None:
    first = commit(0, 10, {"length": {"short": 3, "long": 1}}, errors=2)
    second = commit(1, 5, {"length": {"short": 4}, "language": {"is de": 2}})
    write_stage(tmp_path, "01-clean", [first, second])
    (row,) = read_funnel(Folder(tmp_path))
    assert (row.label, row.folder, row.shards) == ("clean", "01-clean", 2)
    assert (row.documents_in, row.kept, row.dropped, row.errors) == (27, 15, 10, 2)
    assert row.dropped_by == {"language": {"is de": 2}, "length": {"long": 1, "short": 7}}
    assert (row.bytes_in, row.bytes_kept, row.counts) == (2500, 1500, {"edits": 15})
    assert row.accounted


def test_stages_come_in_order(tmp_path: Path) -> None:
    for name in ("10-train", "02-clean", "01-extract", "03-dedup-near"):
        write_stage(tmp_path, name, [commit(0, 1, {})])
    (tmp_path / "report.html").write_text("")
    assert [row.label for row in read_funnel(Folder(tmp_path))] == ["extract", "clean", "dedup-near", "train"]


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="not a run directory"):
            read_funnel(Folder(path))
        with pytest.raises(InputError, match=r"summary\.json"):
            read_summary(Folder(path))


def test_quarantined_shards_are_reported(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "01-clean")
    write_commit(folder, commit(0, 1, {}))
    folder.write_bytes("quarantine/000007.json", msgspec.json.encode({"shard": "000007", "message": "cut short"}))
    row = fold("clean", folder, [commit(0, 1, {})])
    assert row.quarantined == {"000007": "cut short"}
    assert any("000007" in alarm and "cut short" in alarm for alarm in find_alarms([row]))


@pytest.mark.parametrize(("dropped", "alarms"), [(91, 1), (90, 0)])
def test_a_filter_that_drops_nearly_everything(dropped: int, alarms: int) -> None:
    row = StageRow(
        label="clean",
        folder="01-clean",
        documents_in=100,
        kept=100 - dropped,
        dropped=dropped,
        dropped_by={"f": {"r": dropped}},
    )
    assert len(find_alarms([row])) == alarms


def test_documents_that_got_lost() -> None:
    extract = StageRow(label="extract", folder="01-extract", documents_in=10, kept=10)
    assert find_alarms([extract, StageRow(label="clean", folder="02-clean", documents_in=10, kept=10)]) == []
    (alarm,) = find_alarms([extract, StageRow(label="clean", folder="02-clean", documents_in=9, kept=9)])
    assert "9 documents in" in alarm
    (alarm,) = find_alarms([StageRow(label="clean", folder="02-clean", documents_in=9, kept=8)])
    assert "another number" in alarm


def test_summary_comes_back(tmp_path: Path) -> None:
    summary = Summary(name="demo", stages=[StageRow(label="a", folder="01-a")], alarms=["x"], results={"loss": 1.5})
    write_summary(Folder(tmp_path), summary)
    assert read_summary(Folder(tmp_path)) == summary


def grouped(groups: dict[str, dict[str, dict[str, int]]], documents: int = 1000) -> list[str]:
    row = StageRow(label="clean", folder="02-clean", documents_in=documents, kept=documents, groups=groups)
    return find_alarms([row])


def test_a_filter_that_drops_most_of_a_language_raises_an_alarm_with_the_number() -> None:
    alarms = grouped({"language": {"th": {"": 30, "gopher_quality": 25}, "en": {"": 900, "gopher_quality": 100}}})
    assert alarms == ["clean: the filter gopher_quality dropped 25 of 30 documents (83%) of the language th"]


def test_a_language_that_is_not_kept_raises_none() -> None:
    assert grouped({"language": {"de": {"": 300, "language": 300}}}) == []


def test_hosts_and_sources_count_from_a_hundredth_of_the_stage_on() -> None:
    groups = {kind: {"a": {"": 30, "c4": 20}, "b": {"": 30, "c4": 15}} for kind in ("host", "source")}
    found = [f"clean: the filter c4 dropped 20 of 30 documents (67%) of the {kind} a" for kind in ("host", "source")]
    assert grouped(groups) == found
    assert grouped(groups, documents=4000) == []
    assert grouped({"host": {"\x1b[2Jx": {"": 30, "c4": 20}}})[0].endswith("of the host ?[2Jx")


def test_only_the_groups_that_lost_most_are_named() -> None:
    alarms = grouped({"language": {f"l{n}": {"": 100, "c4": 60 + n} for n in range(14)}})
    assert len(alarms) == 11
    assert "73 of 100" in alarms[0]
    assert alarms[-1] == "clean: ... and more than half of 4 other languages"
