"""WACZ: a ZIP file of WARC files (`archive/*.warc.gz`), their index and lists of pages; the WARC files are read.

Members are read where they lie, never written anywhere. What a member claims is not believed: names that lead out of
the archive, members that lie in one another and sizes out of all proportion are refused.
"""

from __future__ import annotations

import contextlib
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from os import PathLike
from typing import IO, BinaryIO, cast

import pyarrow as pa

from autoclave.corpus.batches import EXPANDED_BYTES
from autoclave.corpus.readers.pieces.file_range import FileRange, file_range
from autoclave.corpus.readers.raw import MAX_PAYLOAD_BYTES, ErrorReport, SkipReport, ignore_skipped
from autoclave.corpus.readers.warc import read_warc
from autoclave.corpus.storage import open_read

ZIP_MAGIC = b"PK\x03\x04"
MEMBER_EXPANSION = 100
"""A deflated member that claims more than this many times its stored bytes, and EXPANDED_BYTES, is refused."""
_LOCAL_HEADER_BYTES = 30
_PIECE_BYTES = 1 << 15  # read at once: what is lost before a fault
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def read_wacz(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    skipped: SkipReport = ignore_skipped,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of the WARC files in a WACZ file as batches of RAW_SCHEMA, member by member, by name.

    The source of a record is that of the file and the member's name: `a.wacz/archive/data.warc.gz`; offsets are those
    in the member. A member that cannot be read is one error; so is a file that is no ZIP, or holds no WARC file. The
    rest as for `read_warc`.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            members = _members(archive, file, source, errors)
        except _FAULTS as error:
            errors(source, f"not a readable WACZ file: {error}")
            return
        for info in members:
            place = f"{source}/{info.filename}"
            try:
                member = _Member(_open(archive, info, file), info.file_size)
            except _FAULTS as error:
                errors(place, f"this member of the WACZ file cannot be read: {error}")
                continue
            yield from read_warc(cast(BinaryIO, member), place, errors, skipped, max_payload_bytes)
            if member.fault is not None:
                errors(place, f"this member of the WACZ file cannot be read to its end: {member.fault}")


def _members(archive: zipfile.ZipFile, file: BinaryIO, source: str, errors: ErrorReport) -> list[zipfile.ZipInfo]:
    """Return the WARC files of an archive by name, those that must not be read reported instead."""
    warcs = [info for info in archive.infolist() if info.filename.lower().endswith((".warc.gz", ".warc"))]
    size = file.seek(0, 2)
    if sum(info.compress_size for info in archive.infolist()) > size:
        errors(source, "not a readable WACZ file: its members lie in one another")
        return []
    chosen: dict[str, zipfile.ZipInfo] = {}
    for info in sorted(warcs, key=lambda info: (info.filename, info.header_offset)):
        cause = _refusal(info, chosen)
        if cause is not None:
            errors(f"{source}/{info.filename}", f"this member of the WACZ file is not read: {cause}")
        elif info.filename.startswith("archive/"):
            chosen[info.filename] = info
    if not warcs:
        errors(source, "a ZIP file without archive/*.warc.gz, so no WACZ; unpack it and name what is in it")
    return list(chosen.values())


def _refusal(info: zipfile.ZipInfo, chosen: dict[str, zipfile.ZipInfo]) -> str | None:
    """Why a member must not be read; None where it may."""
    name = info.filename
    if name.startswith(("/", "..")) or "\\" in name or posixpath.normpath(name) != name:
        return "its name leads out of the archive, or is not plain"
    if name in chosen:
        return "a second one of this name"
    if info.flag_bits & 0x1:
        return "it is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"it is neither stored nor deflated (method {info.compress_type})"
    if info.file_size > max(EXPANDED_BYTES, MEMBER_EXPANSION * info.compress_size):
        return f"{info.compress_size} bytes that claim to be {info.file_size}"
    return None


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: BinaryIO) -> IO[bytes]:
    """Return the content of a member as a seekable file; of a stored one, the bytes where they lie."""
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return archive.open(info)
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if not header.startswith(ZIP_MAGIC):
        raise zipfile.BadZipFile("no member begins where the directory says")
    start = info.header_offset + _LOCAL_HEADER_BYTES
    start += int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    return file_range(file, start, start + info.compress_size)


class _Member(FileRange):
    """A member's content, whose damage is the end of it: `fault` says what is wrong."""

    def __init__(self, content: IO[bytes], size: int) -> None:
        super().__init__(cast(BinaryIO, content), 0, size)
        self.fault: str | None = None

    def read(self, count: int | None = -1) -> bytes:
        if self.fault is not None:
            return b""
        try:
            wanted = _PIECE_BYTES if count is None or count < 0 else min(count, _PIECE_BYTES)
            return super().read(wanted)
        except _FAULTS as error:
            self.fault = str(error)
            return b""
