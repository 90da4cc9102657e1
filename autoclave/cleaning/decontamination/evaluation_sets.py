"""Reading evaluation sets: the texts of each item of JSONL, Parquet and plain text files."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from autoclave.corpus.readers.detect import COMPRESSIONS, EXTENSIONS, format_of_name
from autoclave.corpus.readers.streams import ByteStream
from autoclave.corpus.storage import open_read
from autoclave.errors import InputError

_LONGEST_LINE = 1 << 28


def set_names(paths: Sequence[str]) -> list[str]:
    """Return what sets are called: their files' names without endings; those that would be the same, by whole paths."""
    names = list(paths)
    for shorter in (_without_endings, posixpath.basename):
        tried = [shorter(name) for name in names]
        counts = Counter(tried)
        names = [new if counts[new] == 1 else old for new, old in zip(tried, names, strict=True)]
    return names


def _without_endings(name: str) -> str:
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    for ending in EXTENSIONS:
        name = name.removesuffix(ending)
    return name


def read_items(path: str, fields: Sequence[str] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (number from 1, its texts) of the items of a set: a line of JSONL or text, or a row of Parquet.

    fields: names of the fields whose strings are its texts, wherever they are nested; None for all strings. A text file
    has no fields: a line is an item, blank ones are none. Compressed files are read as they are. Raises InputError for
    damaged files and lines that are no JSON.
    """
    wanted = None if fields is None else set(fields)
    with open_read(path) as file:
        magic = file.read(4)
        file.seek(0)
        if magic == b"PAR1":
            yield from _read_parquet(path, file, wanted)
        elif format_of_name(path) == "text":
            yield from ((number, [line.decode("utf-8", "replace")]) for number, line in _lines(path, file))
        else:
            yield from _read_jsonl(path, file, wanted)


def _lines(path: str, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    stream = ByteStream(file)
    number = 0
    while line := stream.readline(_LONGEST_LINE):
        number += 1
        if line.strip():
            yield number, line
    if stream.damage is not None:
        raise InputError(f"{path}: {stream.damage}")


def _read_jsonl(path: str, file: BinaryIO, fields: set[str] | None) -> Iterator[tuple[int, list[str]]]:
    for number, line in _lines(path, file):
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}:{number}: not JSON ({error}); give JSONL, Parquet, or text (.txt)") from error
        yield number, list(_strings(record, fields))


def _read_parquet(path: str, file: BinaryIO, fields: set[str] | None) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield number, list(_strings(row, fields))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _strings(value: Any, fields: set[str] | None, wanted: bool = False) -> Iterator[str]:
    """Yield the strings of a record, all of them or those below the named fields."""
    if isinstance(value, str):
        if wanted or fields is None:
            yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, fields, wanted or (fields is not None and name in fields))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner, fields, wanted)
