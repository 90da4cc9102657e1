"""JSON files that are not one object a line: arrays, and values that are written over several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autoclave.corpus.readers.streams import ByteStream

WINDOW_BYTES = 1 << 18
_BETWEEN = re.compile(r"[\s,\[\]]*")
_SPREAD = re.compile(rb"\s*(?:\[|\{\s*[\r\n])")
_LINE_BEFORE = re.compile(r"(?:\A|[\r\n])([ \t]*)\Z")
_NEAR_END = 16
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class NotJson:
    """Stands for a value that is not JSON, with what is wrong with it, and whether no value follows."""

    cause: str
    last: bool


def is_spread(head: bytes) -> bool:
    """Whether JSON text that begins so is an array, has its first object over several lines, or a second beside it."""
    if _SPREAD.match(head):
        return True
    text = head.decode("utf-8", "replace").lstrip()
    try:
        _, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return text[end:].lstrip(" \t")[:1] in ("{", ",")


def _next_value(text: str, at: int) -> int:
    """Return where the next value begins, behind blanks, commas and brackets of arrays."""
    between = _BETWEEN.match(text, at)
    return at if between is None else between.end()


def json_values(stream: ByteStream, limit: int) -> Iterator[bytes | NotJson]:
    """Yield the values of a JSON file one after the other, as they are written; those of arrays singly.

    After one that is not JSON, reading goes on at the next line that begins as the line of the first value does; where
    that was no line of its own, the rest is lost with it. A value is at most `limit` bytes long.
    """
    window = WINDOW_BYTES
    restart: re.Pattern[bytes] | None = None
    while True:
        data = stream.peek(window)
        text = data.decode("utf-8", "surrogateescape")  # gives back every byte, also those of a character cut in two
        at, fault = _next_value(text, 0), None
        first = at
        while at < len(text):
            try:
                _, end = _DECODER.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                fault = error
                break
            restart = restart or _same_indent(text[:at])
            yield text[at:end].encode("utf-8", "surrogateescape")
            at = _next_value(text, end)
        stream.skip(len(text[:at].encode("utf-8", "surrogateescape")))
        if fault is None or (len(data) < window and stream.damage is not None):
            if len(data) < window:
                return
            window = WINDOW_BYTES
        elif len(data) == window < limit and _may_be_cut(fault, len(text)):
            window = min(window * 4, limit) if at == first else WINDOW_BYTES
        else:
            more = restart is not None and _skip_to(stream, restart)
            yield NotJson(str(fault), not more)
            if not more:
                return
            window = WINDOW_BYTES


def _same_indent(before: str) -> re.Pattern[bytes] | None:
    """What the beginning of a value looks like, if the one after `before` begins a line."""
    match = _LINE_BEFORE.search(before)
    return None if match is None else re.compile(rb"[\r\n]" + match.group(1).encode() + rb"\{")


def _may_be_cut(fault: Exception, length: int) -> bool:
    """Whether JSON of this length is wrong only because it goes on behind its end."""
    if not isinstance(fault, json.JSONDecodeError):
        return False
    return fault.pos >= length - _NEAR_END or fault.msg.startswith("Unterminated string")


def _skip_to(stream: ByteStream, beginning: re.Pattern[bytes]) -> bool:
    """Move to the next match of `beginning` behind the first byte; False where there is none."""
    stream.skip(1)
    while True:
        have = len(stream.buffered)
        match = beginning.search(stream.buffered)
        at = None if match is None else match.start()
        del match  # a live match would pin the size of the buffer
        if at is not None:
            stream.skip(at)
            return True
        if stream.ensure(have + 1) == have:
            stream.skip(have)
            return False
        stream.skip(max(0, have - 256))
