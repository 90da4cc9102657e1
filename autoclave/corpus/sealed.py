"""JSON files that carry their own checksum as their last line, so that every byte of them is accounted for."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
import xxhash

Kind = TypeVar("Kind")

_TAIL = re.compile(rb',\n "checksum": "([0-9a-f]{32})"\n}\n\Z')


def seal(document: Any) -> bytes:
    """Return an object as JSON, keys sorted, whose last key is the xxh3-128 of everything before it."""
    head = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1).removesuffix(b"\n}")
    return b'%s,\n "checksum": "%s"\n}\n' % (head, xxhash.xxh3_128_hexdigest(head).encode())


def unseal(data: bytes, kind: type[Kind]) -> Kind:
    """Return the object that `seal` wrote; ValueError, which says what is wrong, where a byte is another one."""
    found = _TAIL.search(data)
    if found is None:
        raise ValueError("cut short, or without a checksum of its own" if data else "empty")
    head = data[: found.start()]
    if xxhash.xxh3_128_hexdigest(head) != found[1].decode():
        raise ValueError("its contents do not fit its own checksum")
    try:
        return msgspec.json.decode(head + b"\n}", type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"of another version ({error})") from error
