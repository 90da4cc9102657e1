# mypy: allow-untyped-defs, allow-incomplete-defs
"""What the programs of both scan kernels share: which segment one works on, where its operands lie, how its chunks decay.

All of it is inlined, and costs nothing: every kernel keeps its registers (benchmarks/kernels/kernel_budget.json). The load of
the state that enters a segment stays in the kernels, since a function of it, called for both halves of a wide state, cost up
to 40 registers (dk with LRPE on sm_100: 214 -> 254).
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def locate_segment(segment, table_ptr, time, segment_size, segments_per_sequence, PACKED: tl.constexpr):
    """(sequence, batch row, first token in the row, first token in the sequence, tokens, sequence length); sequence -1: none."""
    if PACKED:
        entry = table_ptr + segment * 8
        sequence = tl.load(entry)
        row = 0
        token = tl.load(entry + 1)
        relative = tl.load(entry + 2)
        length = tl.load(entry + 3)
        total = tl.load(entry + 4)
    else:
        sequence = segment // segments_per_sequence
        row = sequence
        relative = (segment % segments_per_sequence) * segment_size
        token = relative
        total = time
        length = tl.minimum(segment_size, time - relative)
    return sequence, row, token, relative, length, total


@triton.jit
def locate_program(heads, VALUE: tl.constexpr, BLOCK_VALUE: tl.constexpr):
    """(block of value channels, head, segment) of this program."""
    value_blocks: tl.constexpr = (VALUE + BLOCK_VALUE - 1) // BLOCK_VALUE
    program = tl.program_id(0)
    return program % value_blocks, (program // value_blocks) % heads, program // (value_blocks * heads)


@triton.jit
def segment_ends(relative, length, total, REVERSE: tl.constexpr):
    """(whether the segment is its sequence's first, whether its last) in the scan's direction."""
    starts = relative == 0
    ends = relative + length == total
    if REVERSE:
        starts, ends = ends, starts
    return starts, ends


@triton.jit
def operand_at(pointer, row, token, head, row_stride, head_stride, TOKEN: tl.constexpr):
    """Pointer to a token's first channel in one head; in int64, since a batch may hold more than 2^31 elements."""
    return pointer + row.to(tl.int64) * row_stride + token.to(tl.int64) * TOKEN + head.to(tl.int64) * head_stride


@triton.jit
def chunk_at(step, chunks, length, CHUNK: tl.constexpr, REVERSE: tl.constexpr):
    """(first token, tokens) of the chunk that the scan takes in this step."""
    chunk = step
    if REVERSE:
        chunk = chunks - 1 - step
    start = chunk * CHUNK
    return start, tl.minimum(length - start, CHUNK)


@triton.jit
def decay_weights(log_decay, tokens, tokens_again, here, scale, REVERSE: tl.constexpr, SCALED: tl.constexpr):
    """(of each token into the state [CHUNK], of the state over the chunk, of the state into each token [CHUNK]), float32.

    log_decay: the exponent of two, not positive. tokens_again: the same numbers, made anew in each chunk.
    """
    before = (tokens_again + 1).to(tl.float32)
    after = tl.maximum(here - 1 - tokens, 0).to(tl.float32)
    if REVERSE:
        before, after = after, before
    into_state = tl.exp2(log_decay * after)
    if SCALED and REVERSE:
        # Backwards the scale belongs to what enters the sum, since the state that comes in is a gradient already.
        into_state *= scale
    return into_state, tl.exp2(log_decay * here.to(tl.float32)), tl.exp2(log_decay * before)


@triton.jit
def decay_mask(log_decay, distance, scale, REVERSE: tl.constexpr, SCALED: tl.constexpr):
    """Weights of a chunk's scores; 0 where the scan meets the key after the query. distance: the query's token less the key's."""
    if REVERSE:
        distance = -distance
    mask = tl.where(distance >= 0, tl.exp2(log_decay * distance.to(tl.float32)), 0.0)
    if SCALED and REVERSE:
        # As in `decay_weights`: backwards the scale belongs to what enters.
        mask *= scale
    return mask
