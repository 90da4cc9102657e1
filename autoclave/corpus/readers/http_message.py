"""HTTP messages as crawlers stored them: headers, transfer and content codings, and headers that lie about them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from autoclave.corpus.decoding.http_codings import RefusedBodyError, take_off

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})(?!\d)", re.IGNORECASE)
_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
HEADER_LIMIT = 1 << 20
_COMMON_BYTES = bytes(range(0x20, 0x7F)) + b"\r\n"
_ODDITIES = (b"\n ", b"\n\r", b" :", b"\r:")  # folded lines, and names with blanks around them
_WANTED = ("content-type", "content-encoding", "transfer-encoding")


@dataclass(slots=True)
class HttpMessage:
    """One stored response. `problems` names what its headers promised and its body did not keep.

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


def wanted_headers(block: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """Return at least the headers in `names`, as `parse_header_lines` gives them, without a look at the others.

    block: header lines, the first of which begins behind a line end that belongs to the block.
    """
    if block.translate(None, _COMMON_BYTES) or any(oddity in block for oddity in _ODDITIES):
        return parse_header_lines(block)
    text = block.decode("ascii")
    lowered = text.lower()
    headers = {}
    for name in names:
        at = lowered.find(f"\n{name}:")
        if at >= 0:
            begin = at + len(name) + 2
            end = text.find("\n", begin)
            headers[name] = text[begin : end if end >= 0 else None].strip()
    return headers


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
    head = bytes(block if end is None else block[: end.start() + 1])
    body = b"" if end is None else block[end.end() :]
    headers = wanted_headers(head[head.find(b"\n") :], _WANTED) if b"\n" in head else {}
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
