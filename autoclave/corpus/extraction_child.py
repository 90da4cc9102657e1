"""Extraction with a limit that holds: pages that could hang or crash a parser go to a child process.

The child arms a timer of its own CPU time, whose signal has its default action, so that the kernel ends it when the time
is up, whatever native code is running, and also when the parent has been killed meanwhile. A machine under load changes
nothing about the verdict. The parent then starts a new one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from typing import IO

import msgspec

from autoclave.corpus.charset import decode
from autoclave.corpus.extraction import EXTRACTORS, PageText, extract_page, tidy
from autoclave.errors import MissingDependencyError

# More tags than this may nest deeply enough to take resiliparse seconds: its time grows with the square of the depth
# (measured: 8,000 open <div> 1.5 s, 20,000 9.8 s). Our own engine measures a page before it is parsed (`parse`), so that
# only what nobody has thought of is left to the child.
RISKY_TAGS = {"resiliparse": 8_000, "resiliparse-all": 8_000, "autoclave": 40_000, "autoclave-all": 40_000}
RISKY_CHARACTERS = 4_000_000
# Memory that a page may make the child ask for, beside what its libraries hold: one that asks for more is a crash of
# that page.
CHILD_MEMORY = 700 << 20
_HEADER = struct.Struct("<BdI")
_REPLY = struct.Struct("<BI")


@dataclass(frozen=True)
class Extracted:
    """Text of one page, and what else the engine tells of it. `problem` is None or why there is no text: "timeout" or
    "crash"."""

    page: PageText
    charset: str | None
    replaced: int
    problem: str | None = None

    @property
    def text(self) -> str:
        return self.page.text


class Extractor:
    """Extracts pages one after another; risky ones, and all with trafilatura, in a child process that can be ended.

    Args:
        name: one of EXTRACTORS.
        seconds: CPU time that one page may take in the child.
    """

    def __init__(self, name: str = "autoclave", seconds: float = 10.0) -> None:
        if name not in EXTRACTORS:
            raise ValueError(f"extractor {name!r} is none of {EXTRACTORS}")
        self.name = name
        self.seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def plain(self, payload: bytes, charset: str | None) -> Extracted:
        """Take the payload as text that needs no extraction."""
        decoded = decode(payload, charset)
        return Extracted(PageText(tidy(decoded.text)), decoded.charset, decoded.replaced)

    def page(self, payload: bytes, charset: str | None) -> Extracted:
        """Extract one HTML page from its bytes. Raises only MissingDependencyError."""
        decoded = decode(payload, charset)
        html = decoded.text
        risky = len(html) > RISKY_CHARACTERS or html.count("<") > RISKY_TAGS.get(self.name, 0)
        text, problem = self._in_child(html) if risky else self._here(html)
        return Extracted(text, decoded.charset, decoded.replaced, problem)

    def _here(self, html: str) -> tuple[PageText, str | None]:
        try:
            return extract_page(html, self.name), None
        except BaseException as error:
            # A panic in the Rust parser arrives as a BaseException that is not ours to name otherwise.
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                return PageText(""), "crash"
            raise

    def _in_child(self, html: str) -> tuple[PageText, str | None]:
        child = self._start()
        data = html.encode("utf-8", "replace")
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(_HEADER.pack(EXTRACTORS.index(self.name), self.seconds, len(data)))
            child.stdin.write(data)
            child.stdin.flush()
            status, length = _REPLY.unpack(_read(child.stdout, _REPLY.size))
            answer = _read(child.stdout, length)
        except (BrokenPipeError, EOFError):
            code = child.wait()
            self.close()
            return PageText(""), "timeout" if code == -signal.SIGPROF else "crash"
        if status == 2:
            raise MissingDependencyError("trafilatura", "extract", "extractor: trafilatura")
        if status:
            return PageText(""), "crash"
        return msgspec.json.decode(answer, type=PageText), None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            command = [sys.executable, "-m", "autoclave.corpus.extraction_child"]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        return self._child

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            child.kill()
            child.wait()


def _read(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer extraction requests until there are no more; each is ended by the kernel when its time is up."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    extract_page("<p>libraries and kernels are loaded before memory counts</p>", "autoclave")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + CHILD_MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    while True:
        head = requests.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return
        number, seconds, length = _HEADER.unpack(head)
        html = _read(requests, length).decode()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        status, answer = 0, b""
        try:
            answer = msgspec.json.encode(extract_page(html, EXTRACTORS[number]))
        except MissingDependencyError:
            status = 2
        except Exception:
            status = 1
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(_REPLY.pack(status, len(answer)))
        replies.write(answer)
        replies.flush()


def _data_bytes() -> int:
    """Bytes of data that this process has asked for, as RLIMIT_DATA counts them."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next((int(line.split()[1]) << 10 for line in file if line.startswith("VmData:")), 2 << 30)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
