"""One worker process under guard: limits of time and memory, and the cause where it dies. Both engines use it."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import threading
import time
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from autoclave.pipelines.running.attempts import Answer, ShardFunction, call

TICK = 0.2
"""Seconds between two looks at the memory of workers."""

MACHINE_SHARE = 0.9
"""Largest share of the machine's memory that one worker may hold; beyond it the kernel would kill anything."""

_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS")
_MIB = 1 << 20


def machine_memory() -> int:
    """Return the bytes of memory that this machine, or the container's limit, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def out_of_memory_kills() -> int:
    """Return how often the kernel killed a process of this container for want of memory, 0 where it does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/sys/fs/cgroup/memory.events").read_text()
        return int(text.split("oom_kill ")[1].split()[0])
    return 0


def private_memory(process: int) -> int:
    """Return the bytes that a process holds for itself (not of mapped files); 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def cause_of_death(code: int | None, memory: int, killed_for_memory: bool) -> Answer:
    """Return the answer for a worker that died: by which signal or with which exit code, and what that means."""
    if code is None or code >= 0:
        return Answer(None, None, f"the worker ended with exit code {code}", "died")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    held = f"; it held {memory // _MIB} MiB" if memory else ""
    if name == "SIGKILL" and killed_for_memory:
        return Answer(
            None, None, f"the worker was killed by SIGKILL: out of memory (the kernel's choice{held})", "memory"
        )
    meaning = {"SIGKILL": f" (out of memory, or somebody killed it{held})", "SIGTERM": " (somebody ended it)"}.get(
        name, ""
    )
    if name in _CRASHES:
        meaning = " (a crash in native code)"
    return Answer(None, None, f"the worker was killed by {name}{meaning}", "died")


class GuardedProcess:
    """A process that runs one task at a time. `submit`, wait on `waitables` for at most TICK, ask for the `answer`."""

    def __init__(self, context: ForkServerContext | SpawnContext) -> None:
        self.connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), daemon=False)
        self._process.start()
        other.close()
        self._since: float | None = None
        self._ready = False
        self._limits: tuple[float | None, int] = (None, 0)
        self._memory = self._kills = 0

    @property
    def waitables(self) -> list[Any]:
        return [self.connection, self._process.sentinel]

    def submit(self, payload: bytes, seconds: float | None, memory: int | None) -> None:
        """Hand over a pickled (function, task), with its limits in seconds and bytes (None: the machine's)."""
        largest = int(machine_memory() * MACHINE_SHARE)
        self._limits = (seconds, min(memory or largest, largest))
        self._memory, self._kills = 0, out_of_memory_kills()
        self._since = time.monotonic() if self._ready else None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died; `answer` says how
            self.connection.send_bytes(payload)

    def answer(self) -> Answer | None:
        """Return the answer to the task, None while it runs. A process that died or was killed is of no more use."""
        try:
            while self.connection.poll():
                received = self.connection.recv()
                if isinstance(received, Answer):
                    return received
                self._ready, self._since = True, time.monotonic()  # it is up: the task's time begins
        except (EOFError, ConnectionResetError):
            self._process.join(5)
            return cause_of_death(self._process.exitcode, self._memory, out_of_memory_kills() > self._kills)
        return self._beyond_limits()

    def _beyond_limits(self) -> Answer | None:
        seconds, memory = self._limits
        assert self._process.pid is not None
        self._memory = max(self._memory, private_memory(self._process.pid))
        if self._memory > memory:
            self.kill()
            held = f"out of memory: held {self._memory // _MIB} MiB, more than the {memory // _MIB} MiB that a task may"
            return Answer(None, None, f"{held} (guards.task_memory_mb)", "memory")
        if seconds is not None and self._since is not None and time.monotonic() - self._since > seconds:
            self.kill()
            return Answer(None, None, f"out of time: ran longer than {seconds:g} s (guards.task_seconds)", "time")
        return None

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self._process.kill()
        self._process.join(5)
        self.connection.close()

    def close(self) -> None:
        """End an idle process."""
        with contextlib.suppress(OSError):
            self.connection.send_bytes(b"")
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(5)
        self.connection.close()


def serve(connection: multiprocessing.connection.Connection) -> None:
    """Answer tasks until there are no more. Ctrl-C is the driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    connection.send("ready")
    while payload := _receive(connection):
        connection.send(_run(payload))


def _receive(connection: multiprocessing.connection.Connection) -> bytes:
    try:
        return connection.recv_bytes()
    except EOFError:
        return b""


def _run(payload: bytes) -> Answer:
    """Unpickle and run a task; what cannot be unpickled is an answer, too.

    The bytes are those of `pickled`, of the process that started this one, by a pipe that no other has: nothing from
    outside is unpickled, and no file is.
    """

    def unpickled(data: bytes) -> Any:
        function, task = pickle.loads(data)
        return function(task)

    return call(unpickled, payload)


def die_with_parent() -> None:
    """End this worker at once when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_own: GuardedProcess | None = None


def supervise(payload: bytes, seconds: float | None, memory: int | None) -> Answer:
    """Run a pickled (function, task) in a process of this worker's own, and wait for its answer; for Ray's tasks."""
    global _own
    if _own is None or not _own.alive:
        _own = GuardedProcess(multiprocessing.get_context("spawn"))
    _own.submit(payload, seconds, memory)
    while True:
        multiprocessing.connection.wait(_own.waitables, TICK)
        answer = _own.answer()
        if answer is not None:
            return answer


def pickled(function: ShardFunction, task: Any) -> bytes:
    """Return what `submit` takes."""
    return pickle.dumps((function, task), pickle.HIGHEST_PROTOCOL)
