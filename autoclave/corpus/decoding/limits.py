"""What decoding may cost. A worker that reads any file holds these amounts at most, and its batches, at once."""

from __future__ import annotations

STEP_BYTES = 1 << 20
"""Most bytes that one call of a decoder gives."""

READ_BYTES = 1 << 18
"""Bytes of a file that are read at once."""

MEMBER_BYTES = 8 << 20
"""A gzip member or zstd frame that is stored in at most so many bytes may be inflated in one call."""

HELD_BYTES = 32 << 20
"""Most bytes that such a call, or the proof of a frame by its checksum, may hold."""

WINDOW_BYTES = 1 << 27
"""Largest window of a zstd frame in a file: what `zstd` itself takes without --long (RFC 8878 asks for 8 MB)."""

DICTIONARY_BYTES = 16 << 20
"""Largest dictionary of a `.warc.zst`, inflated; those of archives are of 100 KB to 1 MB."""

EXPANSION, EXPANDED_BYTES = 1000, 256 << 20
"""What comes to more bytes than both this many times what is stored, and this, is read no further.

Deflate can stand for 1,032 times its bytes, zstd for 32,768 times, brotli for a million times; text of one line
repeated for ever comes to about 300 in gzip.
"""


def expands_hugely(stored: int, given: int) -> bool:
    """Whether `given` bytes out of `stored` ones are too many to go on."""
    return given > EXPANDED_BYTES and given > EXPANSION * stored


PAGE_BYTES, PAGE_EXPANSION = 64 << 20, 100
"""A page of Parquet that comes to more bytes than both this, and so many times what is stored, is not inflated.

Writers end a page at about a megabyte, unless a thousand long texts go into one; text shrinks to a third or a tenth.
"""

LARGEST_PAGE_BYTES = 1 << 30
"""A page that comes to more is not inflated, however much is stored; one below takes about twice its size."""
