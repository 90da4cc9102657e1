"""A zstd frame undone a few blocks at a time.

The decoders of python-zstandard give all that comes of the bytes that they are fed, and four bytes of a frame can
stand for 128 KiB. A frame's blocks say their sizes (RFC 8878, section 3.1.1), so the bytes can be fed block by block.
"""

from __future__ import annotations

import zstandard

from autoclave.corpus.decoding.limits import STEP_BYTES, WINDOW_BYTES

BLOCK_BYTES = 1 << 17
"""Most bytes that a block can come to."""

_BLOCKS_AT_ONCE = STEP_BYTES // BLOCK_BYTES
_RUN_BLOCK = 1


def frame_header_bytes(descriptor: int) -> int:
    """Return the size of a frame's header from its fifth byte, magic number included."""
    single_segment = descriptor >> 5 & 1
    dictionary_id = (0, 1, 2, 4)[descriptor & 3]
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    return 5 + (1 - single_segment) + dictionary_id + content_size


class ZstdFrame:
    """Decoder of one frame; a call of `step` gives at most STEP_BYTES."""

    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None = None, window_bytes: int = WINDOW_BYTES):
        decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=window_bytes)
        self._object = decompressor.decompressobj()
        self._head = b""  # of the frame, then of each block, as far as it is at hand
        self._has_header = self._last = self._has_checksum = False
        self._left = 0  # bytes up to the next block's header

    @property
    def eof(self) -> bool:
        return self._object.eof

    def step(self, data: bytes | memoryview) -> tuple[bytes, bytes | memoryview]:
        """Feed `data`; return (uncompressed bytes, input not yet consumed). Raises zstandard.ZstdError."""
        if self.eof:
            return b"", data
        cut = self._cut(data)
        out = self._object.decompress(data[:cut])
        if self._last and not self._left and not self.eof:
            raise zstandard.ZstdError("the frame goes on behind its last block")
        return out, data[cut:]

    def _cut(self, data: bytes | memoryview) -> int:
        """How many bytes of `data` make up the next blocks."""
        at = blocks = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
            elif self._last or blocks == _BLOCKS_AT_ONCE:
                break
            else:
                size = 3 if self._has_header else 5
                more = bytes(data[at : at + size - len(self._head)])
                self._head += more
                at += len(more)
                if len(self._head) == size:
                    blocks += self._has_header
                    self._take_head()
        return at

    def _take_head(self) -> None:
        head, self._head = self._head, b""
        if not self._has_header:
            self._has_header, self._has_checksum = True, bool(head[4] & 4)
            self._left = frame_header_bytes(head[4]) - 5
            return
        block = int.from_bytes(head, "little")
        self._last = bool(block & 1)
        self._left = 1 if block >> 1 & 3 == _RUN_BLOCK else block >> 3
        if self._last and self._has_checksum:
            self._left += 4
