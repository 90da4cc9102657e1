"""Metrics as a TensorBoard event file, written without TensorBoard: length-prefixed protobuf with CRC-32C checksums.

Format: tensorflow/core/lib/io/record_writer and tensorflow/core/util/event.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

EVENT_FILE = "events.out.tfevents.0.autoclave"
_POLYNOMIAL = 0x82F63B78


def _table() -> list[int]:
    entries = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        entries.append(value)
    return entries


_CRC_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the data."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _record(data: bytes) -> bytes:
    def masked(part: bytes) -> bytes:
        crc = crc32c(part)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _event(line: Mapping[str, Any]) -> bytes:
    """One step's numbers as an Event. Its wall time is the step: files of equal runs are equal."""
    values = b"".join(
        _field(1, _field(1, name.encode()) + b"\x15" + struct.pack("<f", value))
        for name, value in line.items()
        if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    return b"\x09" + struct.pack("<d", float(line["step"])) + b"\x10" + _varint(line["step"]) + _field(5, values)


def begin_events(folder: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write the event file anew with the lines that a resumed run keeps."""
    version = b"\x09" + struct.pack("<d", 0.0) + _field(3, b"brain.Event:2")
    data = _record(version) + b"".join(_record(_event(line)) for line in lines)
    (folder / EVENT_FILE).write_bytes(data)


def append_event(folder: Path, line: Mapping[str, Any]) -> None:
    """Add one step's line."""
    with open(folder / EVENT_FILE, "ab") as file:
        file.write(_record(_event(line)))
