"""Progress on standard error: bars on a terminal, plain lines elsewhere. Standard output stays for results."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from autoclave.cli.terminal import clean_console
from autoclave.pipelines.running.attempts import Outcome
from autoclave.pipelines.running.guards.printable import printable

QUIET_SECONDS = 10.0
"""Without a terminal, a long task says where it is this often."""


class TerminalProgress:
    """Shows a bar a stage. Use as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or clean_console(stderr=True)
        self._live = self.console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self.console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._reused: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._last_line = 0.0

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, name: str, total: int) -> None:
        self._started[name] = time.monotonic()
        self._reused[name] = self._done[name] = 0
        if name in self._tasks:
            self._bars.remove_task(self._tasks[name])
        self._tasks[name] = self._bars.add_task(name, total=total, note="")

    def advance(self, name: str, outcome: Outcome, reused: bool) -> None:
        self._reused[name] += reused
        self._done[name] += 1
        self._bars.advance(self._tasks[name])
        if outcome.failure is not None:
            self.message(f"warning: {name}: shard {outcome.failure.shard} was given up: {outcome.failure.message}")
        elif outcome.commit is not None and outcome.commit.errors and not reused:
            self.message(
                f"warning: {name}: shard {outcome.commit.shard}: {outcome.commit.errors} records could not be read"
                f" (errors/{outcome.commit.shard}.jsonl)"
            )

    def end(self, name: str) -> None:
        reused = f"{self._reused[name]} already done" if self._reused[name] else ""
        self._bars.update(self._tasks[name], note=reused)
        if not self._live and self._done[name]:
            seconds = time.monotonic() - self._started[name]
            note = f" ({reused})" if reused else ""
            self.console.print(f"{name}: {self._done[name]} shards in {seconds:.1f} s{note}", highlight=False)

    def update(self, name: str, completed: int, total: int, note: str) -> None:
        if name not in self._tasks:
            self._started[name] = time.monotonic()
            self._reused[name] = self._done[name] = 0
            self._tasks[name] = self._bars.add_task(name, total=total or None, note=note)
        self._bars.update(self._tasks[name], completed=completed, total=total or None, note=note)
        if not self._live and (time.monotonic() - self._last_line > QUIET_SECONDS or completed == total):
            self._last_line = time.monotonic()
            self.console.print(f"{name}: {completed}/{total or '?'} {note}", highlight=False)

    def message(self, text: str) -> None:
        text = printable(text, lines=False)
        self.console.print(text, style="yellow" if text.startswith("warning") else None, highlight=False, markup=False)
