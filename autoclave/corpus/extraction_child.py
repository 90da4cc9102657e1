"""Extraction with a limit that holds: pages that could hang or crash a parser go to a child process.

The child arms an interval timer whose signal has its default action, so that the kernel ends it when the time is up,
whatever native code is running, and also when the parent has been killed meanwhile. The parent then starts a new one.
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

from autoclave.corpus.charset import decode
from autoclave.corpus.extraction import EXTRACTORS, extract_text, tidy
from autoclave.errors import MissingDependencyError

# More tags than this may nest deeply enough to take resiliparse seconds: its time grows with the square of the depth
# (measured: 8,000 open <div> 1.5 s, 20,000 9.8 s).
RISKY_TAGS = 8_000
RISKY_CHARACTERS = 4_000_000
# Address space of the child: a page that makes a parser ask for more is a crash of that page.
CHILD_MEMORY = 4 << 30
_HEADER = struct.Struct("<BdI")
_REPLY = struct.Struct("<BI")


@dataclass(frozen=True)
class Extracted:
    """Text of one page. `problem` is None or why there is no text: "timeout" or "crash"."""

    text: str
    charset: str | None
    replaced: int
    problem: str | None = None


class Extractor:
    """Extracts pages one after another; risky ones, and all with trafilatura, in a child process that can be ended.

    Args:
        name: one of EXTRACTORS.
        seconds: limit for one page in the child.
    """

    def __init__(self, name: str = "resiliparse", seconds: float = 10.0) -> None:
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
        return Extracted(tidy(decoded.text), decoded.charset, decoded.replaced)

    def page(self, payload: bytes, charset: str | None) -> Extracted:
        """Extract one HTML page from its bytes. Raises only MissingDependencyError."""
        decoded = decode(payload, charset)
        html = decoded.text
        risky = self.name == "trafilatura" or len(html) > RISKY_CHARACTERS or html.count("<") > RISKY_TAGS
        text, problem = self._in_child(html) if risky else self._here(html)
        return Extracted(text, decoded.charset, decoded.replaced, problem)

    def _here(self, html: str) -> tuple[str, str | None]:
        try:
            return extract_text(html, self.name), None
        except BaseException as error:
            # A panic in the Rust parser arrives as a BaseException that is not ours to name otherwise.
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                return "", "crash"
            raise

    def _in_child(self, html: str) -> tuple[str, str | None]:
        child = self._start()
        data = html.encode("utf-8", "replace")
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(_HEADER.pack(EXTRACTORS.index(self.name), self.seconds, len(data)))
            child.stdin.write(data)
            child.stdin.flush()
            status, length = _REPLY.unpack(_read(child.stdout, _REPLY.size))
            text = _read(child.stdout, length).decode()
        except (BrokenPipeError, EOFError):
            code = child.wait()
            self.close()
            return "", "timeout" if code == -signal.SIGALRM else "crash"
        if status == 2:
            raise MissingDependencyError("trafilatura", "extract", "extractor: trafilatura")
        return text, None if status == 0 else "crash"

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
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = CHILD_MEMORY if hard == resource.RLIM_INFINITY else min(CHILD_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    while True:
        head = requests.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return
        number, seconds, length = _HEADER.unpack(head)
        html = _read(requests, length).decode()
        signal.setitimer(signal.ITIMER_REAL, seconds)
        status, text = 0, b""
        try:
            text = extract_text(html, EXTRACTORS[number]).encode()
        except MissingDependencyError:
            status = 2
        except Exception:
            status = 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(_REPLY.pack(status, len(text)))
        replies.write(text)
        replies.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
