"""Gzip members and zstd frames of a file, opened one after the other; what is done where one is damaged."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

import zstandard

from autoclave.corpus.decoding.frames import (
    GZIP_MAGIC,
    ZSTD_MAGIC,
    Codec,
    GzipMember,
    expansion_fault,
    prove_frame,
    salvage,
)
from autoclave.corpus.decoding.limits import DICTIONARY_BYTES, READ_BYTES, STEP_BYTES, expands_hugely
from autoclave.corpus.decoding.marks import FrameMarks
from autoclave.corpus.decoding.window import FileWindow
from autoclave.corpus.decoding.zstd_blocks import ZstdFrame

PROBE_BYTES = 1 << 16
READ_AGAIN_BYTES, READ_AGAIN_TIMES = 64 << 20, 8
"""Bytes of frames that were bad that are read again to find frames in them; times, of what was read by then."""
BLANK = re.compile(rb"[\r\n\x00]+")


class FrameReader:
    """The uncompressed bytes of a file of frames, as far as they are at hand (`_buffer`, from `position` on).

    For the attributes that others use, see `ByteStream`.
    """

    def __init__(self, file: BinaryIO, plausible: Callable[[bytes], bool] | None, *, proved: bool) -> None:
        self._file = file
        self._plausible = plausible
        self._proved = proved and file.seekable()
        self.distrusted_lines: int | None = None
        self._buffer = bytearray()
        self._window = FileWindow(file)
        self._frame_start = 0
        self._inflater: GzipMember | ZstdFrame | None = None
        self._fed = self._given = 0
        self._marks = FrameMarks()
        self._end = False
        self._noticed = self._read_again = 0
        self._not_whole = -1  # offset of the last frame that could not be taken whole
        self.padding: tuple[int, int] | None = None
        self.position = 0
        self.damage: str | None = None
        self.truncated = False
        self._codec: Codec | None = None
        head = self._window.peek(4)
        if head[:3] == GZIP_MAGIC:
            self._codec = Codec("gzip", GZIP_MAGIC)
        elif head == ZSTD_MAGIC or head == b"\x5d\x2a\x4d\x18":
            self._codec = Codec("zstd", ZSTD_MAGIC)

    def _fill_frame(self, codec: Codec) -> bool:
        """Inflate one more piece of the current frame, opening the next one where needed."""
        if self._inflater is None and not self._open_frame(codec):
            return False
        if self._inflater is None:  # a small frame, taken whole
            return True
        window = self._window
        if not window.have and not window.more():
            self.damage, self.truncated = f"{codec.name} data end in the middle of a frame", True
            return False
        self._step(codec, self._inflater)
        return True

    def _step(self, codec: Codec, inflater: GzipMember | ZstdFrame) -> None:
        """Inflate what is at hand of the current frame, at most READ_BYTES, until STEP_BYTES have come of it.

        The decoder is fed up to what looks like the next frame, so that it has no copy to make of all that stands
        behind a small one; but it is fed on where the frame does not end there, since a fault shows late.
        """
        window, fed, given = self._window, self._fed, self._given
        while window.have and not inflater.eof and self._fed - fed < READ_BYTES and self._given - given < STEP_BYTES:
            raw = window.peek_up_to(codec.begin)
            try:
                data, rest = inflater.step(raw)
            except codec.errors as error:
                self._buffer += self._salvage(codec, raw)
                self.damage = f"{codec.name}: {error}"
                return
            window.at += len(raw) - len(rest)
            self._fed += len(raw) - len(rest)
            self._given += len(data)
            self._buffer += data
        if inflater.eof:
            self._inflater = None
        elif expands_hugely(self._fed, self._given):
            self.damage, self._noticed = expansion_fault(codec, self._fed), window.offset

    def _pass_over_padding(self) -> None:
        window = self._window
        match = BLANK.match(window.data, window.at, window.end)
        if match is None:
            return
        end = match.end()
        self._note_padding(window.offset, window.data[window.at : end])
        window.at = end

    def _note_padding(self, offset: int, blank: bytes | bytearray) -> None:
        at = blank.find(b"\x00")
        if at >= 0:
            first, so_far = self.padding or (offset + at, 0)
            self.padding = first, so_far + blank.count(b"\x00")

    def _at_frame(self, codec: Codec) -> bool:
        """Move to the next frame of the file; False at the end, and where something else stands."""
        window = self._window
        while True:
            while window.have < 8 and window.more():
                pass
            self._pass_over_padding()
            if not window.have:
                if window.more():
                    continue
                self._end = True
                return False
            if window.have < 8 and window.more():
                continue
            self._frame_start = window.offset
            head = window.peek(8)
            if codec.name == "zstd" and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
                if not self._skippable_frame(codec):
                    return False
                continue
            if not head.startswith(codec.magic):
                self.damage = f"bytes between frames are not {codec.name}"
                return False
            return True

    def _open_frame(self, codec: Codec) -> bool:
        """Open the next frame, or put what it holds into the buffer at once where it is small and sound."""
        if not self._at_frame(codec):
            return False
        self._marks.add(self.position + len(self._buffer), self._frame_start)
        content = self._whole(codec)
        if content is not None:
            self._buffer += content
            return True
        self._inflater = codec.new()
        self._fed = self._given = 0
        return not self._proved or not codec.has_checksum(self._window.peek(64)) or self._prove(codec)

    def _whole(self, codec: Codec) -> bytes | bytearray | None:
        """What the frame at hand holds, where it is small and sound; a frame is asked once."""
        if self._not_whole == self._frame_start:
            return None
        content = codec.whole(self._window)
        self._not_whole = self._frame_start if content is None else -1
        return content

    def _is_between_frames(self) -> bool:
        return self._inflater is None and self.damage is None and not self._end

    def _prove(self, codec: Codec) -> bool:
        """Read the frame to its end; take it at once where it is small, refuse it where it is not what was written."""
        here = self._window.offset
        proof = prove_frame(codec, self._file, self._frame_start)
        if proof.fault is not None:
            self.damage, self.distrusted_lines, self._inflater = proof.fault, proof.lines, None
            self._noticed = proof.end
            return False
        if proof.content is not None:
            self._buffer += proof.content
            self._inflater = None
            here = proof.end
        self._window.seek(here)
        return True

    def _skippable_frame(self, codec: Codec) -> bool:
        """Pass over a zstd skippable frame; the one that `.warc.zst` begins with holds the dictionary."""
        window = self._window
        head = window.peek(8)
        holds_dictionary = head[0] == 0x5D
        size = int.from_bytes(head[4:], "little")
        if holds_dictionary and size > DICTIONARY_BYTES:
            self.damage = f"zstd dictionary of {size} bytes, more than {DICTIONARY_BYTES}"
            return False
        kept, left = bytearray(), 8 + size
        while left:
            if not window.have and not window.more():
                self.damage, self.truncated = "zstd data end in a skippable frame", True
                return False
            piece = window.take(left)
            left -= len(piece)
            if holds_dictionary:
                kept += piece
        try:
            if holds_dictionary:
                codec.set_dictionary(bytes(kept[8:]))
        except zstandard.ZstdError as error:
            self.damage = f"zstd dictionary: {error}"
            return False
        return True

    def _salvage(self, codec: Codec, failing: bytes) -> bytes:
        """The bytes that the failing piece of the current frame still gives."""
        self._noticed = self._window.offset + len(failing)
        if not self._file.seekable():
            return b""
        here = self._file.tell()
        saved = salvage(codec, self._file, self._frame_start, self._fed, failing)
        self._file.seek(here)
        return saved

    # -- behind damage ------------------------------------------------------------------------------------------

    def recover(self) -> bool:
        """Drop what is left before the damage and go on at the next frame that inflates; False when none is left."""
        self.position += len(self._buffer)
        self._buffer.clear()
        codec, window = self._codec, self._window
        self.damage, self.truncated, self._inflater, self.distrusted_lines = None, False, None, None
        if codec is None or not self._file.seekable():
            self._end = True
            return False
        window.seek(self._behind_damage())
        while True:
            at = window.data.find(codec.magic, window.at, window.end)
            if at < 0:
                window.at = max(window.at, window.end - len(codec.magic) + 1)
                if not window.more():
                    self._end = True
                    return False
                continue
            window.at = at
            if self._inflates(codec):
                return True
            window.at += 1

    def _behind_damage(self) -> int:
        """Where in the file to look for the next frame: behind the beginning of the bad one, which may have eaten that.

        Where frames that fail late are folded into one another, that would read the same bytes again and again; beyond
        some multiple of what was read, it is behind the place where the damage was noticed.
        """
        begin = self._frame_start + 1
        self._read_again += max(0, self._noticed - begin)
        if self._read_again > READ_AGAIN_BYTES + READ_AGAIN_TIMES * self._noticed:
            begin = max(begin, self._noticed)
        return begin

    def _inflates(self, codec: Codec) -> bool:
        """Whether what begins at the window's cursor is a frame; most finds by chance fail in their first 2 KB."""
        window = self._window
        for size in (2048, PROBE_BYTES):
            while window.have < size and window.more():
                pass
            decoder, given = codec.new(), b""
            rest: bytes | memoryview = window.peek(size)
            try:
                while rest and len(given) < STEP_BYTES and not decoder.eof:
                    out, rest = decoder.step(rest)
                    given += out
            except codec.errors:
                return False
            # zstd gives nothing before the end of a block, which may be far off; gzip has given something by now.
            if codec.name == "gzip" and not given and window.have >= size:
                return False
        return self._plausible(given) if self._plausible else len(given) > 0
