"""JSON lines (plain, gzip, zstd): one document a line; arrays and values over several lines are read as well."""

from __future__ import annotations

import codecs
import contextlib
import json
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa

from autoclave.corpus.readers.fields import FieldMap, add_record, used_content
from autoclave.corpus.readers.json_values import NotJson, is_spread, json_values
from autoclave.corpus.readers.lines import TextStream
from autoclave.corpus.readers.raw import ErrorReport, RawBatchBuilder
from autoclave.corpus.storage import open_read

LINE_LIMIT = 64 << 20
HEAD_BYTES = 1 << 16


def _decode(line: bytes) -> Any:
    line = line.removeprefix(codecs.BOM_UTF8)  # one is in the middle where files were joined
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The standard library takes what the strict decoder does not: lone surrogates, NaN; ValueError otherwise.
        return json.loads(line.decode("utf-8", "replace"))


def read_jsonl(
    file: BinaryIO | str | PathLike[str],
    source: str,
    errors: ErrorReport,
    fields: Mapping[str, str] | None = None,
    first: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the lines of a JSONL file as batches of RAW_SCHEMA; `offset` is the line number, from 0.

    Lines that are not a JSON object with a string of text go to `errors` with their line number from 1; blank lines
    are passed over. `fields` renames (see FieldMap); a timestamp is ISO 8601 or seconds since 1970. Fields that are
    not of a document are kept in `metadata` as strings. Lines end in \\n, \\r\\n or \\r, in UTF-8, UTF-16 or UTF-32.

    A file that begins with an array, or with an object over several lines, is read value by value; `offset` is then
    the number of the value. Of a gzip member whose checksum is wrong no line is taken: one error says how many there
    were, and from which line on. first: number of the file's first line where it is a piece of another, which is lines
    whatever it begins with.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(file, (str, PathLike)):
            file = stack.enter_context(open_read(str(file)))
        reader = _JsonlReader(TextStream(file), source, errors, FieldMap(fields), first or 0)
        is_lines = first is not None or not is_spread(reader.stream.peek(HEAD_BYTES))
        yield from reader.lines() if is_lines else reader.values()
        last = reader.builder.flush()
        if last is not None:
            yield last


class _JsonlReader:
    """Reads one file, in one of two ways; `number` is that of the line or value at hand, from 0."""

    def __init__(self, stream: TextStream, source: str, errors: ErrorReport, names: FieldMap, first: int) -> None:
        self.stream, self.builder = stream, RawBatchBuilder(source)
        self._source, self._errors, self._names = source, errors, names
        self._number = first - 1

    def _report(self, cause: str) -> None:
        self._errors(f"{self._source}:{self._number + 1}", cause)

    def lines(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a file of one object a line."""
        stream = self.stream
        while True:
            line = stream.readline(LINE_LIMIT)
            whole = line.endswith((b"\n", b"\r"))
            if not line and stream.damage is None:
                return
            self._number += 1
            if stream.damage is not None and not whole:
                yield from self._damaged(line)
            elif len(line) >= LINE_LIMIT and not whole:
                self._report(f"line longer than {LINE_LIMIT} bytes")
                while line and not line.endswith((b"\n", b"\r")):
                    line = stream.readline(1 << 20)
            elif line.strip():
                yield from self._add(line)

    def _damaged(self, line: bytes) -> Iterator[pa.RecordBatch]:
        """Report the damage behind `line`, the last that is at hand, and go on behind it where that is possible.

        A frame may begin and end in the middle of a line, or not: the rest of a JSON object is never an object, so
        whatever is one at either side of the damage is whole.
        """
        stream = self.stream
        if self._is_record(line):
            yield from self._add(line)
            self._number += 1
        self._report(self._damage())
        lines = stream.distrusted_lines or 0
        if not stream.recover():
            return
        self._number += lines
        line = stream.readline(LINE_LIMIT)
        if self._is_record(line):
            yield from self._add(line)

    def _damage(self) -> str:
        stream = self.stream
        if stream.distrusted_lines is None:
            return str(stream.damage)
        left_out = f"about {stream.distrusted_lines} lines from here on are left out"
        return f"{stream.damage} in the frame at byte {stream.damage_offset}; {left_out}, none of it can be trusted"

    @staticmethod
    def _is_record(line: bytes) -> bool:
        try:
            return isinstance(_decode(line), dict)
        except (ValueError, RecursionError):
            return False

    def values(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a file of values in arrays or over several lines."""
        for value in json_values(self.stream, LINE_LIMIT):
            self._number += 1
            if isinstance(value, NotJson):
                rest = "the rest of the file is left out; " if value.last else ""
                self._report(f"not JSON: {value.cause}; {rest}mend it, or write one object a line (jq -c '.[]' FILE)")
            else:
                yield from self._add(value)
        if self.stream.damage is not None:
            self._number += 1
            self._report(f"{self._damage()}; the rest of the file is left out")

    def _add(self, line: bytes) -> Iterator[pa.RecordBatch]:
        """Add one record, or report what it is instead; yield the batch that this closed, if any."""
        try:
            record = _decode(line)
        except (ValueError, RecursionError) as error:
            self._report(f"not JSON: {error}")
            return
        if not isinstance(record, dict):
            self._report(f"a JSON {type(record).__name__}, not an object")
            return
        try:
            record = self._names.lift(record)
            found = self._names.found(record)
            strings = [n for n in self._names.content if n in found and isinstance(record[found[n]], str)]
            if not strings:
                self._report(f"no string field {self._names.missing()}")
                return
            content = record[found[strings[0]]]
            batch = add_record(self.builder, self._number, content, record, used_content(found, strings[0]))
        except RecursionError:
            self._report("fields nested too deeply")
            return
        if batch is not None:
            yield batch
