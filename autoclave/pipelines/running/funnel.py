"""The funnel: commits of a run folded into one row a stage, with alarms. Summaries, `inspect` and the report use it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from autoclave.corpus.checksums import read_checked, write_recorded
from autoclave.corpus.commits import Commit, merge_counts, read_commits
from autoclave.corpus.groups import GroupCounts, merge_groups
from autoclave.corpus.inputs.account import InputCounts, count_inputs
from autoclave.corpus.output import UNREAD
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError

ALARM_SHARE = 0.9
"""A filter that drops a larger share of what came into its stage is reported: more often a mistake than a wish."""

GROUP_ALARM_SHARE = 0.5
"""... and so is one that drops a larger share of one language, of a host or a source of weight."""

GROUP_DOCUMENTS = 20
"""Fewest documents of a group that a share is taken of."""

GROUP_WEIGHT = 0.01
"""Share of a stage's documents from which on a host or a source has weight. A language has it at any size."""

GROUP_ALARMS = 10
"""Groups that are named for a stage and a kind, those that lost most documents first."""


class StageRow(msgspec.Struct, kw_only=True):
    """What one stage did, over all of its shards. Bytes are UTF-8 bytes of text (of payloads for extract's input)."""

    label: str
    folder: str
    shards: int = 0
    documents_in: int = 0
    kept: int = 0
    dropped: int = 0
    errors: int = 0
    dropped_by: dict[str, dict[str, int]] = {}
    bytes_in: int = 0
    bytes_kept: int = 0
    counts: dict[str, int] = {}
    groups: GroupCounts = {}
    """language, host, source -> its largest values -> filter -> documents dropped, '' -> documents in."""
    seconds: float = 0.0
    """Summed over shards: core seconds, not wall time."""
    quarantined: dict[str, str] = {}
    """Shard -> message of what made it fail."""
    inputs: InputCounts | None = None
    """Files found, read and left out, of a stage that reads raw files."""
    lost: int = 0
    """Documents of the shards that were given up, as far as their number is known; they are among `documents_in`."""
    unread: dict[str, str] = {}
    """Input file of which nothing could be read -> its first fault."""

    @property
    def accounted(self) -> bool:
        """Whether documents in = kept + dropped + errors, with no shard given up."""
        return not self.quarantined and self.documents_in == self.kept + self.dropped + self.errors

    @property
    def loss(self) -> str | None:
        """What was lost, in words with the first cause; None where nothing was."""
        if self.quarantined:
            shard, cause = next(iter(self.quarantined.items()))
            number = len(self.quarantined)
            documents = f"{self.lost} documents" if self.lost else "documents not yet counted"
            return f"{number} shard{'s' * (number > 1)} given up ({documents} lost); first {shard}: {cause}"
        if self.unread:
            source, cause = next(iter(self.unread.items()))
            number = len(self.unread)
            return f"nothing could be read of {number} input file{'s' * (number > 1)}; first {source}: {cause}"
        return None


class Summary(msgspec.Struct, kw_only=True):
    """What a run did: `summary.json` of the run directory."""

    name: str
    stages: list[StageRow]
    alarms: list[str] = []
    results: dict[str, float] = {}
    """Figures of stages that make no documents: tokens, losses."""


def fold(label: str, folder: Folder, commits: Iterable[Commit]) -> StageRow:
    """Return the row of a stage whose commits are given."""
    row = StageRow(label=label, folder=folder.url.rsplit("/", 1)[-1], inputs=count_inputs(folder))
    counts: list[dict[str, int]] = []
    groups: list[GroupCounts] = []
    dropped_by: dict[str, list[dict[str, int]]] = {}
    for commit in commits:
        row.shards += 1
        row.documents_in += commit.documents_in
        row.kept += commit.kept
        row.dropped += commit.dropped
        row.errors += commit.errors
        row.bytes_in += commit.bytes_in
        row.bytes_kept += commit.bytes_kept
        row.seconds += commit.seconds
        if UNREAD in commit.counts:
            row.unread |= msgspec.json.decode(read_checked(folder, f"{UNREAD}/{commit.shard}.json"))
        counts.append(commit.counts)
        groups.append(commit.groups)
        for name, reasons in commit.dropped_by.items():
            dropped_by.setdefault(name, []).append(reasons)
    row.seconds = round(row.seconds, 2)
    row.counts = merge_counts(counts)
    row.groups = merge_groups(groups)
    row.dropped_by = {name: merge_counts(reasons) for name, reasons in sorted(dropped_by.items())}
    for name in folder.files("quarantine/*.json"):
        failure = msgspec.json.decode(folder.read_bytes(name))
        row.quarantined[failure["shard"]] = failure["message"]
        row.lost += failure.get("documents") or 0
    row.documents_in += row.lost
    return row


def stage_folders(run: Folder) -> list[Folder]:
    """Return the stage directories of a run in order; InputError where the folder is not a run."""
    labels = run.files("[0-9][0-9]-*")
    if not labels:
        raise InputError(f"{run.url}: not a run directory (no stage folders such as 01-extract)")
    return [run.child(name) for name in labels]


def read_funnel(run: Folder) -> list[StageRow]:
    """Return one row for each stage of a run, from its commits as they stand."""
    return [fold(folder.url.rsplit("/", 1)[-1][3:], folder, read_commits(folder)) for folder in stage_folders(run)]


def find_group_alarms(row: StageRow) -> list[str]:
    """Return which filters drop more than half of a language, or of a host or source of weight, with the numbers.

    A language that the recipe does not keep is dropped by wish, and no reason for an alarm.
    """
    alarms: list[str] = []
    for kind, groups in sorted(row.groups.items()):
        found = []
        for group, counts in groups.items():
            came = counts[""]
            if came < GROUP_DOCUMENTS or (kind != "language" and came < GROUP_WEIGHT * row.documents_in):
                continue
            shares = {name: number for name, number in counts.items() if name not in ("", "language")}
            found += [(n, name, group, came) for name, n in shares.items() if n > GROUP_ALARM_SHARE * came]
        found.sort(key=lambda one: (-one[0], one[1:]))
        for dropped, name, group, came in found[:GROUP_ALARMS]:
            shown = "".join(sign if sign.isprintable() else "?" for sign in group)
            alarms.append(
                f"{row.label}: the filter {name} dropped {dropped} of {came} documents ({dropped / came:.0%}) of the"
                f" {kind} {shown}"
            )
        if len(found) > GROUP_ALARMS:
            alarms.append(f"{row.label}: ... and more than half of {len(found) - GROUP_ALARMS} other {kind}s")
    return alarms


def find_alarms(rows: Iterable[StageRow]) -> list[str]:
    """Return what a person should look at: filters that drop nearly everything, or most of a language, a host or a
    source; quarantined shards, lost documents."""
    alarms: list[str] = []
    before: StageRow | None = None
    for row in rows:
        for name, reasons in row.dropped_by.items():
            dropped = sum(reasons.values())
            if row.documents_in >= 20 and dropped > ALARM_SHARE * row.documents_in:
                alarms.append(
                    f"{row.label}: the filter {name} dropped {dropped} of {row.documents_in} documents;"
                    " check its settings and the language of the corpus"
                )
        alarms += find_group_alarms(row)
        for shard, message in row.quarantined.items():
            alarms.append(f"{row.label}: shard {shard} was given up: {message}")
        for source, message in list(row.unread.items())[:GROUP_ALARMS]:
            alarms.append(f"{row.label}: nothing could be read of {source}: {message}")
        if not row.quarantined and not row.accounted:
            alarms.append(
                f"{row.label}: {row.documents_in} documents in, but kept + dropped + errors is another number"
            )
        if before is not None and row.documents_in not in (0, before.kept):
            alarms.append(f"{row.label}: {row.documents_in} documents in, but {before.label} kept {before.kept}")
        before = row if row.documents_in else before
    return alarms


def read_summary(run: Folder) -> Summary:
    """Return the summary of a run; InputError where it has none."""
    if not run.exists("summary.json"):
        raise InputError(f"{run.url}: no summary.json here; give the folder of a finished run")
    return msgspec.json.decode(read_checked(run, "summary.json"), type=Summary)


def write_summary(run: Folder, summary: Summary) -> None:
    data = msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"
    write_recorded(run, "summary.json", data, "run")
