# mypy: allow-untyped-defs, allow-incomplete-defs
"""The Triton kernel of Lightning Attention: a chunked scan, forwards or backwards in time.

It computes LA(a, b, c)_t = sum_{s<=t} lambda^(t-s) (a_t . b_s) c_s from three operands: the queries a and keys b, whose axis is
the inner one, and the values c. The forward pass is LA(q, k, v); dq = LA(do, v, k); reversed in time, dk = LA(v, do, q) and
dv = LA(k, q, do). The state is a float32 accumulator that stays in registers for a whole segment of a sequence.
Wide states (LRPE, keys of more than 128 channels) take `triton_wide.py`.

Rules kept here: decay appears only as exp2 of non-positive numbers; operands are loaded in the orientation in which a dot needs
them (no dot of a transposed accumulator: Triton 3.4-3.7 miscompiles that on Hopper); no atomics; sizes of the problem are never
compile-time constants, so one binary serves all lengths.
"""

import triton
import triton.language as tl

from autoclave.kernels.lightning_attention.triton_program import (
    LOG2_E,
    chunk_at,
    decay_mask,
    decay_weights,
    locate_program,
    locate_segment,
    operand_at,
    segment_ends,
)


@triton.jit(
    do_not_specialize=["time", "segment_size", "segments_per_sequence", "heads", "scale"],
    do_not_specialize_on_alignment=["table_ptr", "decay_ptr"],
)
def scan_kernel(
    a_ptr,
    b_ptr,
    c_ptr,
    o_ptr,
    state_ptr,
    segment_state_ptr,
    final_ptr,
    decay_ptr,
    table_ptr,
    scale,
    time,
    segment_size,
    segments_per_sequence,
    heads,
    a_row,
    a_head,
    b_row,
    b_head,
    c_row,
    c_head,
    o_row,
    o_head,
    state_size,
    state_inner,
    state_value,
    A_TOKEN: tl.constexpr,
    B_TOKEN: tl.constexpr,
    C_TOKEN: tl.constexpr,
    O_TOKEN: tl.constexpr,
    INNER: tl.constexpr,
    VALUE: tl.constexpr,
    BLOCK_INNER: tl.constexpr,
    BLOCK_VALUE: tl.constexpr,
    CHUNK: tl.constexpr,
    REVERSE: tl.constexpr,
    PACKED: tl.constexpr,
    HAS_STATE: tl.constexpr,
    SPLIT: tl.constexpr,
    WRITE_OUTPUT: tl.constexpr,
    WRITE_FINAL: tl.constexpr,
    EVERY_SEGMENT: tl.constexpr,
    PRECISION: tl.constexpr,
    SCALED: tl.constexpr,
    KEEP_MASK: tl.constexpr,
    STATE_FIRST: tl.constexpr,
):
    value_block, head, segment = locate_program(heads, VALUE, BLOCK_VALUE)
    sequence, row, token, relative, length, total = locate_segment(
        segment, table_ptr, time, segment_size, segments_per_sequence, PACKED
    )
    if sequence < 0:
        return
    enters_first, leaves_last = segment_ends(relative, length, total, REVERSE)
    if not WRITE_OUTPUT and not EVERY_SEGMENT:  # noqa: SIM102 - a compile-time and a run-time condition
        # Only the segments after this one need its local state.
        if leaves_last:
            return

    tokens = tl.arange(0, CHUNK)
    inner = tl.arange(0, BLOCK_INNER)
    value = value_block * BLOCK_VALUE + tl.arange(0, BLOCK_VALUE)
    inner_fits = inner < INNER
    value_fits = value < VALUE
    element = c_ptr.dtype.element_ty

    a_base = operand_at(a_ptr, row, token, head, a_row, a_head, A_TOKEN)
    b_base = operand_at(b_ptr, row, token, head, b_row, b_head, B_TOKEN)
    c_base = operand_at(c_ptr, row, token, head, c_row, c_head, C_TOKEN)
    o_base = operand_at(o_ptr, row, token, head, o_row, o_head, O_TOKEN)

    # Exponents of two, all of them non-positive.
    log_decay = tl.load(decay_ptr + head) * LOG2_E
    chunks = tl.cdiv(length, CHUNK)
    state = tl.zeros((BLOCK_INNER, BLOCK_VALUE), dtype=tl.float32)
    place = inner[:, None] * state_inner + value[None, :] * state_value
    state_fits = inner_fits[:, None] & value_fits[None, :]
    slot = (sequence.to(tl.int64) * heads + head) * state_size
    segment_slot = (segment.to(tl.int64) * heads + head) * state_size
    if WRITE_OUTPUT:
        if SPLIT:
            if enters_first:
                if HAS_STATE:
                    state = tl.load(state_ptr + slot + place, mask=state_fits, other=0.0)
            else:
                state = tl.load(segment_state_ptr + segment_slot + place, mask=state_fits, other=0.0)
        elif HAS_STATE:
            state = tl.load(state_ptr + slot + place, mask=state_fits, other=0.0)

    for step in range(chunks):
        start, here = chunk_at(step, chunks, length, CHUNK, REVERSE)
        row_fits = tokens < here
        offset = start.to(tl.int64)
        # Transposed, [inner, tokens]: the orientation that both products want.
        b = tl.load(
            b_base + offset * B_TOKEN + (inner[:, None] + tokens[None, :] * B_TOKEN),
            mask=inner_fits[:, None] & row_fits[None, :],
            other=0.0,
        )
        c = tl.load(
            c_base + offset * C_TOKEN + (tokens[:, None] * C_TOKEN + value[None, :]),
            mask=row_fits[:, None] & value_fits[None, :],
            other=0.0,
        )
        # A zero that the compiler cannot see: what depends on it is made anew in each chunk, not kept in registers.
        hidden_zero = tl.minimum(here, 0)
        mask_tokens = tokens
        if not KEEP_MASK:
            mask_tokens += hidden_zero
        mask = decay_mask(log_decay, mask_tokens[:, None] - tokens[None, :], scale, REVERSE, SCALED)
        into_state, chunk_decay, out_of_state = decay_weights(
            log_decay, tokens, tokens + hidden_zero, here, scale, REVERSE, SCALED
        )
        if WRITE_OUTPUT:
            a = tl.load(
                a_base + offset * A_TOKEN + (tokens[:, None] * A_TOKEN + inner[None, :]),
                mask=row_fits[:, None] & inner_fits[None, :],
                other=0.0,
            )
            o_fits = row_fits[:, None] & value_fits[None, :]

        # Queries first, so that they need not live on; where STATE_FIRST, the order that suits wgmma better (docs/kernels.md).
        if WRITE_OUTPUT:
            o = tl.dot(a, state.to(element), input_precision=PRECISION)
            if not STATE_FIRST:
                scores = (tl.dot(a, b, input_precision=PRECISION) * mask).to(element)
                o = tl.dot(scores, c, o * out_of_state[:, None], input_precision=PRECISION)
        values = c * into_state.to(element)[:, None]
        state = tl.dot(b, values, state * chunk_decay, input_precision=PRECISION)
        if WRITE_OUTPUT and STATE_FIRST:
            scores = (tl.dot(a, b, input_precision=PRECISION) * mask).to(element)
            o = tl.dot(scores, c, o * out_of_state[:, None], input_precision=PRECISION)

        if WRITE_OUTPUT:
            if SCALED and not REVERSE:
                o *= scale
            o_place = tokens[:, None] * O_TOKEN + value[None, :]
            tl.store(o_base + offset * O_TOKEN + o_place, o.to(o_ptr.dtype.element_ty), mask=o_fits)

    # Computed anew, through a zero that the compiler cannot see: kept alive across the loop they would cost 32 registers.
    hidden_zero = tl.minimum(length, 0)
    inner += hidden_zero
    value += hidden_zero
    place = inner[:, None] * state_inner + value[None, :] * state_value
    state_fits = (inner < INNER)[:, None] & (value < VALUE)[None, :]
    if WRITE_OUTPUT:
        if WRITE_FINAL:  # noqa: SIM102
            if leaves_last:
                tl.store(final_ptr + slot + place, state, mask=state_fits)
    else:
        tl.store(segment_state_ptr + segment_slot + place, state, mask=state_fits)


@triton.jit(do_not_specialize=["time", "segment_size", "segments_per_sequence", "heads", "state_size"])
def prefix_kernel(
    segment_state_ptr,
    state_ptr,
    decay_ptr,
    table_ptr,
    first_ptr,
    time,
    segment_size,
    segments_per_sequence,
    heads,
    state_size,
    BLOCK: tl.constexpr,
    REVERSE: tl.constexpr,
    PACKED: tl.constexpr,
    HAS_STATE: tl.constexpr,
):
    """Turn each segment's local state into the state that enters it: S <- lambda^length S + local, in the order of time.

    The first segment's entry is left alone: the scan takes the sequence's own initial state there.
    """
    blocks = tl.cdiv(state_size, BLOCK)
    program = tl.program_id(0)
    head = (program // blocks) % heads
    sequence = program // (blocks * heads)
    place = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    fits = place < state_size
    if PACKED:
        first = tl.load(first_ptr + sequence)
        count = tl.load(first_ptr + sequence + 1) - first
    else:
        first = sequence * segments_per_sequence
        count = segments_per_sequence
    if count < 2:
        return
    log_decay = tl.load(decay_ptr + head) * LOG2_E
    running = tl.zeros((BLOCK,), dtype=tl.float32)
    if HAS_STATE:
        running = tl.load(state_ptr + (sequence.to(tl.int64) * heads + head) * state_size + place, mask=fits, other=0.0)
    # Four loads ahead of their use: with one at a time the loop is a chain of memory latencies, one a segment.
    start, stride = first, 1
    if REVERSE:
        start, stride = first + count - 1, -1
    base = segment_state_ptr + head * state_size + place
    row = heads.to(tl.int64) * state_size
    last = count - 1
    local = tl.load(base + start * row, mask=fits, other=0.0)
    second = tl.load(base + (start + stride) * row, mask=fits & (last > 1), other=0.0)
    third = tl.load(base + (start + 2 * stride) * row, mask=fits & (last > 2), other=0.0)
    fourth = tl.load(base + (start + 3 * stride) * row, mask=fits & (last > 3), other=0.0)
    for step in range(last):
        fifth = tl.load(base + (start + (step + 4) * stride) * row, mask=fits & (last > step + 4), other=0.0)
        segment = start + step * stride
        if PACKED:
            length = tl.load(table_ptr + segment * 8 + 3)
        else:
            length = tl.minimum(segment_size, time - (segment - first) * segment_size)
        running = running * tl.exp2(log_decay * length.to(tl.float32)) + local
        tl.store(base + (segment + stride) * row, running, mask=fits)
        local, second, third, fourth = second, third, fourth, fifth
