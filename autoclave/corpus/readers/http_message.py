"""HTTP messages as crawlers stored them: headers, transfer and content codings, and headers that lie about them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

from autoclave.corpus.decoding.http_codings import RefusedBodyError, take_off

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
HEADER_LIMIT = 1 << 20


@dataclass(slots=True)
class HttpMessage:
    """One stored response, with the headers that tell what its body is (names in lower case, perhaps others as well).

    `problems` names what the headers promised and the body did not keep.

    `body` is None where it would be larger than the limit, or has too many codings; `refused` then says which.
    """

    status: int | None
    headers: dict[str, str]
    body: bytes | memoryview | None
    problems: list[str] = field(default_factory=list)
    refused: str | None = None


def parse_header_lines(block: bytes) -> dict[str, str]:
    """Parse `Name: value` lines into a dict with lower-case names; continuation lines are folded.

    Bytes are UTF-8 where they are valid UTF-8 and Latin-1 otherwise; the first of repeated names holds; lines that
    are no header are ignored.
    """
    try:
        text = block.decode()
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    headers: dict[str, str] = {}
    folded: dict[str, list[str]] = {}
    name = ""
    for line in text.split("\n"):
        if name and line[:1] in (" ", "\t"):
            folded.setdefault(name, [headers[name]]).append(line.strip())
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower()
        if not colon or name in headers:
            name = ""
        elif name:
            headers[name] = value.strip()
    for name, parts in folded.items():
        headers[name] = " ".join(part for part in parts if part)
    return headers


def wanted(*names: str) -> re.Pattern[bytes]:
    """Return what finds the headers of these names (lower case) for `find_headers`, and all that asks for more care.

    That is a line that is folded, empty, or begins a record, and one that begins with no sign of a name.
    """
    either = "|".join(names)
    return re.compile(rf"\n(?:({either})[^\S\n]*:([^\n]*)|[^!-~\r]|\r[^\n]|warc/)".encode(), re.IGNORECASE)


@functools.lru_cache(maxsize=256)
def _lower(name: bytes) -> str:
    return name.decode().lower()


def find_headers(
    pattern: re.Pattern[bytes], data: bytes | bytearray | memoryview, begin: int, end: int
) -> dict[str, str] | None:
    """Return the headers that `pattern` finds, as `parse_header_lines` gives them; None where they need more care.

    begin: where the line end before the first header stands; end: that behind the last line end.
    """
    headers: dict[str, str] = {}
    try:
        for name, value in reversed(pattern.findall(data, begin, end)):  # of repeated names the first holds
            if not name:
                return None
            headers[_lower(name)] = value.decode("ascii").strip()
    except UnicodeDecodeError:
        return None
    return headers


_WANTED = wanted("content-type", "content-encoding", "transfer-encoding")


def parse_http_response(block: bytes | memoryview, limit: int) -> HttpMessage | None:
    """Parse a stored HTTP response and take off its codings; None when the block does not begin like one.

    `limit` bounds the decoded body in bytes. A coding that was declared but is not there (crawlers that stored
    decoded bodies under the original headers) is ignored silently; one that breaks off midway leaves what could be
    decoded and is named in `problems`. A body without codings is a view of `block` where that is one.
    """
    status = _STATUS_LINE.match(block)
    if status is None:
        return None
    end = _HEAD_END.search(block, 0, HEADER_LIMIT)
    body = b"" if end is None else block[end.end() :]
    stop = len(block) if end is None else end.start() + 1
    headers = find_headers(_WANTED, block, status.end(), stop)
    if headers is None:
        headers = parse_header_lines(bytes(block[:stop]).partition(b"\n")[2])
    message = HttpMessage(int(status.group(1)), headers, body)
    if end is None:
        message.problems.append("header without end")
    transfer, content = headers.get("transfer-encoding", "").lower(), headers.get("content-encoding", "").lower()
    if transfer or content:
        _take_off_codings(message, transfer, content, limit)
    return message


def _take_off_codings(message: HttpMessage, transfer: str, content: str, limit: int) -> None:
    assert message.body is not None
    body = bytes(message.body)
    if "chunked" in transfer:
        body = _dechunk(body, message.problems)
    # Some servers name the compression as a transfer coding.
    codings = [*content.split(","), *(part for part in transfer.split(",") if "chunked" not in part)]
    try:
        message.body = take_off([coding.strip() for coding in codings], body, limit, message.problems)
    except RefusedBodyError as error:
        message.body, message.refused = None, str(error)


def _dechunk(body: bytes, problems: list[str]) -> bytes:
    first = _CHUNK_SIZE.match(body)
    if first is None or (first.group(1).strip(b"0") == b"" and len(body) > first.end() + 64):
        return body  # stored already decoded
    out, at = bytearray(), 0
    while True:
        match = _CHUNK_SIZE.match(body, at)
        if match is None:
            break
        size = int(match.group(1), 16)
        if size == 0:
            return bytes(out)
        end = match.end() + size
        if not at and (end > len(body) or body[end : end + 1] not in (b"\r", b"\n", b"")):
            return body  # text that happens to begin with a hexadecimal number
        out += memoryview(body)[match.end() : end]
        at = end
    if at < len(body):
        problems.append("broken chunked coding")
        out += body[at:].removeprefix(b"\r\n")
    return bytes(out)
