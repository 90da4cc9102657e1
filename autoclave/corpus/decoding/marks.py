"""Where in an uncompressed stream the frames of its file began."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

MOST_MARKS = 1 << 16
"""A million members of a byte each must not cost a million entries; frames beyond are then read without addresses."""


class FrameMarks:
    """Pairs of (uncompressed position, offset in the file) in ascending order; lookups cost the logarithm of them."""

    def __init__(self) -> None:
        self._positions: list[int] = []
        self._offsets: list[int] = []
        self.last: int | None = None
        """Position of the frame that was opened last."""

    def add(self, position: int, offset: int) -> None:
        """Note a frame; of several at one position the last holds, since the others are empty."""
        self.last = position
        if self._positions and self._positions[-1] == position:
            self._offsets[-1] = offset
        elif len(self._positions) < MOST_MARKS:
            self._positions.append(position)
            self._offsets.append(offset)

    def offset_at(self, position: int) -> int | None:
        """Offset of the frame that begins at `position`; None where none does."""
        at = bisect_left(self._positions, position)
        return self._offsets[at] if at < len(self._positions) and self._positions[at] == position else None

    def after(self, position: int) -> int | None:
        """Position of the first frame behind `position`; None where none is known."""
        at = bisect_right(self._positions, position)
        return self._positions[at] if at < len(self._positions) else None

    def drop_before(self, position: int) -> None:
        """Forget the frames before `position`, now and then, so that forgetting one costs little."""
        if len(self._positions) > 64:
            at = bisect_left(self._positions, position)
            if 2 * at > len(self._positions):
                del self._positions[:at], self._offsets[:at]
