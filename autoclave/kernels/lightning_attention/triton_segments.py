"""Where the segments of packed sequences lie, computed on the device: no host synchronisation, so CUDA graphs can hold it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

TABLE_COLUMNS = (
    8  # sequence (-1: unused), first token, first token inside the sequence, tokens, sequence length, 3 unused
)


@dataclass(frozen=True)
class Segments:
    """How a call is cut: `count` programs along time a head; the tables are None for sequences of equal length.

    table: int32 [count, TABLE_COLUMNS], a row a segment; first: int32 [sequences + 1], each sequence's first segment, and
    the end of all
    """

    sequences: int
    count: int
    size: int
    per_sequence: int
    time: int
    split: bool
    table: Tensor | None
    first: Tensor | None


def dense_segments(batch: int, time: int, size: int) -> Segments:
    """`batch` sequences of `time` tokens, each in ceil(time / size) segments."""
    per_sequence = -(-time // size) if time else 0
    return Segments(batch, batch * per_sequence, size, per_sequence, time, per_sequence > 1, None, None)


_cached: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_borders: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def packed_segments(cu_seqlens: Tensor, time: int, size: int) -> Segments:
    """Segments of `size` tokens of packed sequences, whose bounds are cu_seqlens [N + 1], int32 or int64.

    Their number is not known without asking the device, so `count` is its upper bound.
    """
    key = (cu_seqlens._version if not cu_seqlens.is_inference() else -1, time, size)
    capturing = cu_seqlens.is_cuda and torch.cuda.is_current_stream_capturing()
    # A captured graph must compute its own table: its bounds may change between replays.
    remember = not capturing and key[0] >= 0
    if remember:
        found = _cached.get(cu_seqlens)
        if found is not None and found[0] == key:
            return found[1]
    segments = _build(cu_seqlens, time, size)
    if remember:
        _cached[cu_seqlens] = (key, segments)
    return segments


def tokens_to_border(segments: Segments, reverse: bool) -> Tensor:
    """How many tokens lie between each segment and where its piece of a stream ends, in the scan's direction.

    Of the last sequence in that direction; -1 for segments of others, and for those that are not used (whose places in
    the table mean nothing). int64 [count], of packed sequences only.
    """
    table = segments.table
    assert table is not None  # only packed streams are cut between processes
    found = _borders.get(table)
    if found is None:
        sequence, relative, tokens, length = (table[:, column].long() for column in (0, 2, 3, 4))
        forwards = torch.where(sequence == segments.sequences - 1, length - relative - tokens, -1)
        found = torch.stack([forwards, torch.where(sequence == 0, relative, -1)])
        _borders[table] = found
    return found[int(reverse)]


def _build(cu_seqlens: Tensor, time: int, size: int) -> Segments:
    sequences = cu_seqlens.numel() - 1
    count = time // size + min(sequences, time)
    bounds = cu_seqlens.to(torch.int64)
    lengths = bounds.diff()
    pieces = (lengths + size - 1) // size
    ends = pieces.cumsum(0)
    ids = torch.arange(count, device=cu_seqlens.device)
    owner = torch.searchsorted(ends, ids, right=True).clamp_max(max(sequences - 1, 0))
    table = torch.zeros(count, TABLE_COLUMNS, dtype=torch.int32, device=cu_seqlens.device)
    first = torch.zeros(sequences + 1, dtype=torch.int32, device=cu_seqlens.device)
    if sequences and count:
        relative = (ids - (ends - pieces)[owner]) * size
        used = ids < ends[-1]
        table[:, 0] = torch.where(used, owner, -1)
        table[:, 1] = bounds[owner] + relative
        table[:, 2] = relative
        table[:, 3] = (lengths[owner] - relative).clamp(0, size)
        table[:, 4] = lengths[owner]
        first[1:] = ends
    return Segments(sequences, count, size, 0, time, time > size, table, first)
