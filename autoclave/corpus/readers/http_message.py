"""HTTP messages as crawlers stored them: headers, transfer and content codings, and headers that lie about them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import zstandard

try:
    import brotli
except ImportError:  # an optional package: bodies in brotli are then passed on as they are and dropped as binary
    brotli = None

_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})(?!\d)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
HEADER_LIMIT = 1 << 20


@dataclass
class HttpMessage:
    """One stored response. `problems` names what its headers promised and its body did not keep."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    problems: list[str] = field(default_factory=list)


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
    name = ""
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and name:
            headers[name] = f"{headers[name]} {line.strip()}".strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower()
        if not colon or not name:
            name = ""
        elif name not in headers:
            headers[name] = value.strip()
        else:
            name = ""
    return headers


def split_head(data: bytes) -> tuple[bytes, bytes] | None:
    """Split a message at its first empty line into (head, body); None where there is no end of the head."""
    match = _HEAD_END.search(data, 0, HEADER_LIMIT)
    return (data[: match.start() + 1], data[match.end() :]) if match else None


_HEAD_END = re.compile(rb"\n\r?\n")


def parse_http_response(block: bytes, limit: int) -> HttpMessage | None:
    """Parse a stored HTTP response and take off its codings; None when the block does not begin like one.

    `limit` bounds the decoded body in bytes. A coding that was declared but is not there (crawlers that stored
    decoded bodies under the original headers) is ignored silently; one that breaks off midway leaves what could be
    decoded and is named in `problems`.
    """
    status = _STATUS_LINE.match(block)
    if status is None:
        return None
    parts = split_head(block)
    head, body = parts if parts else (block, b"")
    headers = parse_header_lines(head.partition(b"\n")[2])
    message = HttpMessage(int(status.group(1)), headers, body)
    if parts is None:
        message.problems.append("header without end")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        message.body = _dechunk(message.body, message.problems)
    codings = [
        *headers.get("content-encoding", "").lower().split(","),
        # Some servers name the compression as a transfer coding.
        *(part for part in headers.get("transfer-encoding", "").lower().split(",") if "chunked" not in part),
    ]
    for coding in reversed([coding.strip() for coding in codings]):
        decode = _DECODERS.get(coding)
        if decode is not None:
            message.body = decode(message.body, limit, message.problems)
    return message


def _dechunk(body: bytes, problems: list[str]) -> bytes:
    first = _CHUNK_SIZE.match(body)
    if first is None or (first.group(1).strip(b"0") == b"" and len(body) > first.end() + 64):
        return body  # stored already decoded
    pieces: list[bytes] = []
    at = 0
    while True:
        match = _CHUNK_SIZE.match(body, at)
        if match is None:
            break
        size = int(match.group(1), 16)
        if size == 0:
            return b"".join(pieces)
        end = match.end() + size
        if not pieces and (end > len(body) or body[end : end + 1] not in (b"\r", b"\n", b"")):
            return body  # text that happens to begin with a hexadecimal number
        pieces.append(body[match.end() : end])
        at = end
    if at < len(body):
        rest = body[at:]
        problems.append("broken chunked coding")
        pieces.append(rest.removeprefix(b"\r\n"))
    return b"".join(pieces)


def _inflate(wbits: int, looks_right: Callable[[bytes], bool]) -> Callable[[bytes, int, list[str]], bytes]:
    def decode(body: bytes, limit: int, problems: list[str]) -> bytes:
        if not looks_right(body):
            return body
        inflater = zlib.decompressobj(wbits=wbits)
        out = bytearray()
        rest = body
        try:
            # Small pieces, so that what stands before the damage is kept.
            for start in range(0, len(body), 4096):
                rest = body[start : start + 4096]
                out += inflater.decompress(rest, limit - len(out) + 1)
                if len(out) > limit:
                    problems.append("decoded body larger than the limit")
                    return bytes(out[:limit])
                if inflater.eof:
                    break
        except zlib.error:
            if not out:
                return body
            problems.append("broken compressed body")
        else:
            if not inflater.eof:
                problems.append("compressed body ends early")
        return bytes(out)

    return decode


def _deflate(body: bytes, limit: int, problems: list[str]) -> bytes:
    """`deflate` is zlib by the standard and raw deflate by habit; text that is neither stays as it is."""
    if len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0:
        return _inflate(15, lambda _: True)(body, limit, problems)
    trial: list[str] = []
    out = _inflate(-15, lambda _: True)(body, limit, trial)
    return body if trial else out


def _brotli(body: bytes, limit: int, problems: list[str]) -> bytes:
    if brotli is None:
        problems.append("brotli body and no brotli package")
        return body
    decoder = brotli.Decompressor()
    out = bytearray()
    try:
        for start in range(0, len(body), 4096):
            out += decoder.process(body[start : start + 4096])
            if len(out) > limit:
                problems.append("decoded body larger than the limit")
                return bytes(out[:limit])
    except brotli.error:
        if not out or body[:64].lstrip()[:1] == b"<":
            return body
        problems.append("broken compressed body")
    return bytes(out)


def _zstd(body: bytes, limit: int, problems: list[str]) -> bytes:
    if body[:4] != b"\x28\xb5\x2f\xfd":
        return body
    decoder = zstandard.ZstdDecompressor().decompressobj()
    out = bytearray()
    try:
        for start in range(0, len(body), 4096):
            out += decoder.decompress(body[start : start + 4096])
            if decoder.eof or len(out) > limit:
                break
    except zstandard.ZstdError:
        problems.append("broken compressed body")
    return bytes(out[:limit])


_gzip = _inflate(31, lambda body: body[:2] == b"\x1f\x8b")
_DECODERS: dict[str, Callable[[bytes, int, list[str]], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
