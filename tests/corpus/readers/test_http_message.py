"""HTTP messages as stored: codings taken off, lies forgiven."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.corpus.readers.http_message import parse_header_lines, parse_http_response

BODY = ("<html><body>" + "caf\u00e9 \u4e2d\u6587 text " * 300 + "</body></html>").encode()
LIMIT = 1 << 20


def response(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK", end: bytes = b"\r\n") -> bytes:
    head = [status, "Content-Type: text/html", *headers]
    return end.join(line.encode() for line in head) + end + end + body


def chunked(body: bytes, size: int = 1000, extension: str = "") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension.encode(), p) for p in pieces) + b"0\r\n\r\n"


def deflate_raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", deflate_raw(BODY)),
        ("br", brotli.compress(BODY)),
        ("zstd", zstandard.compress(BODY)),
        ("identity", BODY),
        ("utf-8", BODY),
    ],
)
@pytest.mark.parametrize("transfer", ["", "chunked"])
def test_every_coding(coding: str, packed: bytes, transfer: str) -> None:
    headers = [f"Content-Encoding: {coding}"]
    if transfer:
        headers.append("Transfer-Encoding: chunked")
        packed = chunked(packed, 97, ";name=value")
    message = parse_http_response(response(packed, *headers), LIMIT)
    assert message is not None
    assert message.body == BODY
    assert not message.problems


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_declared_but_already_decoded(coding: str) -> None:
    block = response(BODY, f"Content-Encoding: {coding}", "Transfer-Encoding: chunked")
    message = parse_http_response(block, LIMIT)
    assert message is not None
    assert message.body == BODY
    assert not message.problems


def test_text_that_begins_like_a_chunk() -> None:
    for body in (b"abc\r\n is how hexadecimal looks, and more text follows here", b"0\r\n" + BODY):
        message = parse_http_response(response(body, "Transfer-Encoding: chunked"), LIMIT)
        assert message is not None
        assert message.body == body


def test_broken_chunks_keep_what_was_there() -> None:
    body = chunked(BODY)
    broken = body.replace(b"3e8\r\n", b"zzz\r\n", 3).replace(b"zzz\r\n", b"3e8\r\n", 2)
    message = parse_http_response(response(broken, "Transfer-Encoding: chunked"), LIMIT)
    assert message is not None
    assert message.body.startswith(BODY[:2000])
    assert message.problems == ["broken chunked coding"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_body_that_ends_early(coding: str) -> None:
    noisy = BODY + bytes(range(32, 127)) * 400
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[
        coding
    ]
    message = parse_http_response(response(packed(noisy)[:-9], f"Content-Encoding: {coding}"), LIMIT)
    assert message is not None
    assert message.body is not None
    assert noisy.startswith(message.body[:50])
    assert message.problems == ["compressed body ends early"]


def test_a_decompression_bomb_stops_at_the_limit() -> None:
    for coding, packed in (("gzip", gzip.compress(bytes(50 << 20))), ("br", brotli.compress(bytes(50 << 20)))):
        message = parse_http_response(response(packed, f"Content-Encoding: {coding}"), LIMIT)
        assert message is not None
        assert message.body is None
        assert message.refused == f"decoded body larger than the limit of {LIMIT} bytes"


def test_headers() -> None:
    headers = parse_header_lines(b"A: 1\r\nb : two\r\n  and more\r\nno header\r\nA: 3\r\n : empty name\r\nC:\xe9\r\n")
    assert headers == {"a": "1", "b": "two and more", "c": "\u00e9"}


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_line_ends_and_status_lines(end: bytes) -> None:
    for line, status in (("HTTP/1.0 404", 404), ("HTTP/2 200", 200), ("http/1.1 301 Moved \u00e9", 301)):
        message = parse_http_response(response(b"body", status=line, end=end), LIMIT)
        assert message is not None
        assert (message.status, message.body) == (status, b"body")
    assert parse_http_response(b"not a response", LIMIT) is None


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=500), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", ""]), st.booleans())
def test_nothing_is_raised(body: bytes, coding: str, transfer: bool) -> None:
    headers = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if transfer else [])]
    message = parse_http_response(response(body, *headers), LIMIT)
    assert message is not None
    assert message.body is not None
    assert len(message.body) <= LIMIT
