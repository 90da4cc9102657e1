"""Content codings of HTTP taken off a stored body: never more than a limit, and what stands before damage is kept."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from autoclave.corpus.decoding.limits import STEP_BYTES
from autoclave.corpus.decoding.zstd_blocks import ZstdFrame

MOST_CODINGS = 5
"""Codings that one body may have, one over the other: as many as curl takes (MAX_ENCODE_STACK)."""

PIECE_BYTES = 4096
"""Bytes that a decoder is fed at once: small, so that what stands before damage is kept."""

Problems = list[str]


class RefusedBodyError(Exception):
    """A body that is not decoded, because of what it would come to; its message says why."""


def take_off(codings: list[str], body: bytes, limit: int, problems: Problems) -> bytes:
    """Return `body` without its codings, named in the order in which they were put on; unknown ones are passed over.

    limit: most bytes of each layer. A coding that was declared but is not there is ignored silently; one that breaks
    off midway leaves what could be decoded and is named in `problems`. Raises RefusedBodyError for a body that comes
    to more than `limit` bytes, and for one with more than MOST_CODINGS codings. Memory: three times `limit` at most.
    """
    decoders = [_DECODERS[coding] for coding in reversed(codings) if coding in _DECODERS]
    if len(decoders) > MOST_CODINGS:
        raise RefusedBodyError(f"body with {len(decoders)} content codings, more than {MOST_CODINGS}")
    for decode in decoders:
        body = decode(body, limit, problems)
    return body


def _collect(pieces: Iterator[bytes], limit: int, out: bytearray) -> None:
    for piece in pieces:
        out += piece
        if len(out) > limit:
            raise RefusedBodyError(f"decoded body larger than the limit of {limit} bytes")


def _inflated(inflater: zlib._Decompress, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        rest = body[start : start + PIECE_BYTES]
        while rest and not inflater.eof:
            yield inflater.decompress(rest, STEP_BYTES)
            rest = inflater.unconsumed_tail
        if inflater.eof:
            return


def _inflate(wbits: int, body: bytes, limit: int, problems: Problems) -> bytes:
    inflater, out = zlib.decompressobj(wbits=wbits), bytearray()
    try:
        _collect(_inflated(inflater, body), limit, out)
    except zlib.error:
        if not out:
            return body
        problems.append("broken compressed body")
    else:
        if not inflater.eof:
            problems.append("compressed body ends early")
    return bytes(out)


def _gzip(body: bytes, limit: int, problems: Problems) -> bytes:
    return _inflate(31, body, limit, problems) if body[:2] == b"\x1f\x8b" else body


def _deflate(body: bytes, limit: int, problems: Problems) -> bytes:
    """`deflate` is zlib by the standard and raw deflate by habit; text that is neither stays as it is."""
    if len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0:
        return _inflate(15, body, limit, problems)
    trial: Problems = []
    out = _inflate(-15, body, limit, trial)
    return body if trial else out


def _unbrotlied(decoder: brotli.Decompressor, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield decoder.process(body[start : start + PIECE_BYTES], output_buffer_limit=STEP_BYTES)
        while not decoder.can_accept_more_data():
            yield decoder.process(b"", output_buffer_limit=STEP_BYTES)
        if decoder.is_finished():
            return


def _brotli(body: bytes, limit: int, problems: Problems) -> bytes:
    decoder, out = brotli.Decompressor(), bytearray()
    try:
        _collect(_unbrotlied(decoder, body), limit, out)
    except brotli.error:
        if not out or body[:64].lstrip()[:1] == b"<":
            return body
        problems.append("broken compressed body")
    else:
        if not decoder.is_finished():
            if not out:
                return body
            problems.append("compressed body ends early")
    return bytes(out)


def _unzstded(frame: ZstdFrame, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        rest: bytes | memoryview = body[start : start + PIECE_BYTES]
        while rest and not frame.eof:
            out, rest = frame.step(rest)
            yield out
        if frame.eof:
            return


def _zstd(body: bytes, limit: int, problems: Problems) -> bytes:
    if body[:4] != b"\x28\xb5\x2f\xfd":
        return body
    frame, out = ZstdFrame(), bytearray()
    try:
        _collect(_unzstded(frame, body), limit, out)
    except zstandard.ZstdError:
        problems.append("broken compressed body")
    else:
        if not frame.eof:
            problems.append("compressed body ends early")
    return bytes(out)


_DECODERS: dict[str, Callable[[bytes, int, Problems], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
