# mypy: allow-untyped-defs, allow-incomplete-defs
"""The scan for wide states: the LRPE layer, whose keys take the space of 2K, and keys of more than 128 channels.

The same sum as in `triton_scan.py`, LA(a, b, c)_t = sum_{s<=t} lambda^(t-s) (a_t . b_s) c_s, turned on its side: the state is
held as [values, keys], in two halves, and everything that it meets is transposed. Then it is the left operand of its product
with the queries and never leaves the registers; the other way round each chunk writes all of it to shared memory and reads it
back, and shared memory decides the time (docs/kernels.md).

The two halves are cosine and sine with LRPE, else the first and second 128 keys. Phases are absolute. The rules of
`triton_scan.py` hold here too.
"""

import triton
import triton.language as tl

from autoclave.kernels.lightning_attention.triton_phase import cosine, phase_at, sine, turn_fraction
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

LRPE_NONE = tl.constexpr(0)
LRPE_INNER = tl.constexpr(1)  # queries and keys are encoded
LRPE_VALUE = tl.constexpr(2)  # values are encoded, and the output is decoded: the gradient of an encoded operand


@triton.jit
def join_halves(first, second):
    """[tokens, n] twice -> [tokens, 2n], side by side."""
    joined = tl.permute(tl.join(first, second), (0, 2, 1))
    return tl.reshape(joined, (first.shape[0], 2 * first.shape[1]))


@triton.jit(
    do_not_specialize=["time", "segment_size", "segments_per_sequence", "heads", "scale"],
    do_not_specialize_on_alignment=["table_ptr", "offset_ptr", "decay_ptr", "theta_ptr"],
)
def wide_scan_kernel(
    a_ptr,
    b_ptr,
    c_ptr,
    o_ptr,
    x_ptr,
    d_theta_ptr,
    state_ptr,
    segment_state_ptr,
    final_ptr,
    decay_ptr,
    theta_ptr,
    offset_ptr,
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
    x_row,
    x_head,
    state_size,
    state_inner,
    state_value,
    state_half,
    A_TOKEN: tl.constexpr,
    B_TOKEN: tl.constexpr,
    C_TOKEN: tl.constexpr,
    O_TOKEN: tl.constexpr,
    X_TOKEN: tl.constexpr,
    INNER: tl.constexpr,
    VALUE: tl.constexpr,
    BLOCK_INNER: tl.constexpr,
    BLOCK_VALUE: tl.constexpr,
    CHUNK: tl.constexpr,
    REVERSE: tl.constexpr,
    LRPE: tl.constexpr,
    PACKED: tl.constexpr,
    HAS_STATE: tl.constexpr,
    SPLIT: tl.constexpr,
    WRITE_OUTPUT: tl.constexpr,
    WRITE_FINAL: tl.constexpr,
    EVERY_SEGMENT: tl.constexpr,
    PRECISION: tl.constexpr,
    FAST_PHASES: tl.constexpr,
    SCALED: tl.constexpr,
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
    x_base = operand_at(x_ptr, row, token, head, x_row, x_head, X_TOKEN)

    # Exponents of two, all of them non-positive.
    log_decay = tl.load(decay_ptr + head) * LOG2_E
    chunks = tl.cdiv(length, CHUNK)
    if LRPE != LRPE_NONE:
        position = relative.to(tl.int64)
        if offset_ptr is not None:
            position += tl.load(offset_ptr + sequence)
        if FAST_PHASES:
            position = position.to(tl.int32)
    if LRPE == LRPE_INNER:
        theta = tl.load(theta_ptr + head * INNER + inner, mask=inner_fits, other=0.0)
        fraction = turn_fraction(theta, FAST_PHASES)
    if LRPE == LRPE_VALUE:
        theta = tl.load(theta_ptr + head * VALUE + value, mask=value_fits, other=0.0)
        fraction = turn_fraction(theta, FAST_PHASES)
        d_theta = tl.zeros((BLOCK_VALUE,), dtype=tl.float32)

    if LRPE == LRPE_NONE:
        half = BLOCK_INNER * state_inner
        second_fits = inner + BLOCK_INNER < INNER
    else:
        half = state_half
        second_fits = inner_fits
    place = value[:, None] * state_value + inner[None, :] * state_inner
    state_fits = value_fits[:, None] & inner_fits[None, :]
    second_state_fits = value_fits[:, None] & second_fits[None, :]
    slot = (sequence.to(tl.int64) * heads + head) * state_size
    segment_slot = (segment.to(tl.int64) * heads + head) * state_size
    state = tl.zeros((BLOCK_VALUE, BLOCK_INNER), dtype=tl.float32)
    state_second = tl.zeros((BLOCK_VALUE, BLOCK_INNER), dtype=tl.float32)
    if WRITE_OUTPUT:
        if SPLIT:
            if enters_first:
                if HAS_STATE:
                    state = tl.load(state_ptr + slot + place, mask=state_fits, other=0.0)
                    state_second = tl.load(state_ptr + slot + place + half, mask=second_state_fits, other=0.0)
            else:
                entry = segment_state_ptr + segment_slot
                state = tl.load(entry + place, mask=state_fits, other=0.0)
                state_second = tl.load(entry + place + half, mask=second_state_fits, other=0.0)
        elif HAS_STATE:
            state = tl.load(state_ptr + slot + place, mask=state_fits, other=0.0)
            state_second = tl.load(state_ptr + slot + place + half, mask=second_state_fits, other=0.0)

    for step in range(chunks):
        start, here = chunk_at(step, chunks, length, CHUNK, REVERSE)
        row_fits = tokens < here
        offset = start.to(tl.int64)
        a_place = a_base + offset * A_TOKEN
        b_place = b_base + offset * B_TOKEN
        by_inner = row_fits[:, None] & inner_fits[None, :]
        b_index = tokens[:, None] * B_TOKEN + inner[None, :]
        b = tl.load(b_place + b_index, mask=by_inner, other=0.0)
        c = tl.load(
            c_base + offset * C_TOKEN + (tokens[:, None] * C_TOKEN + value[None, :]),
            mask=row_fits[:, None] & value_fits[None, :],
            other=0.0,
        )
        if LRPE == LRPE_NONE:
            by_second = row_fits[:, None] & second_fits[None, :]
            b_second = tl.load(b_place + BLOCK_INNER + b_index, mask=by_second, other=0.0)
        if WRITE_OUTPUT:
            a_index = tokens[:, None] * A_TOKEN + inner[None, :]
            a = tl.load(a_place + a_index, mask=by_inner, other=0.0)
            if LRPE == LRPE_NONE:
                a_second = tl.load(a_place + BLOCK_INNER + a_index, mask=by_second, other=0.0)
        # A zero that the compiler cannot see: what depends on it is made anew in each chunk, not kept in registers.
        hidden_zero = tl.minimum(here, 0)
        tokens_again = tokens + hidden_zero
        into_state, chunk_decay, out_of_state = decay_weights(
            log_decay, tokens, tokens_again, here, scale, REVERSE, SCALED
        )
        weights = into_state.to(element)[:, None]
        out_of_state = out_of_state[None, :]
        # [keys, queries]: key i reaches query j.
        mask = decay_mask(log_decay, tokens[None, :] - tokens_again[:, None], scale, REVERSE, SCALED)

        if LRPE != LRPE_NONE:
            phase = phase_at(fraction[None, :], (position + start + tokens_again)[:, None], FAST_PHASES)
            phase_cosine = cosine(phase, FAST_PHASES).to(element)
            phase_sine = sine(phase, FAST_PHASES).to(element)
        if LRPE == LRPE_VALUE:
            weighted = b * weights
            encoded = tl.trans(c * phase_cosine)
            encoded_second = tl.trans(c * phase_sine)
            if WRITE_OUTPUT:
                queries = tl.trans(a)
                scores = (tl.dot(b, queries, input_precision=PRECISION) * mask).to(element)
                if element == tl.float32:
                    # Plain products hold their operands in registers, too many for one that serves three times.
                    queries = tl.trans(tl.load(a_place + hidden_zero + a_index, mask=by_inner, other=0.0))
                o = tl.dot(state.to(element), queries, input_precision=PRECISION) * out_of_state
                o = tl.dot(encoded, scores, o, input_precision=PRECISION)
            state = tl.dot(encoded, weighted, state * chunk_decay, input_precision=PRECISION)
            if WRITE_OUTPUT:
                # Now, so that the products below hide its latency.
                x = tl.load(
                    x_base + offset * X_TOKEN + (tokens[None, :] * X_TOKEN + value[:, None]),
                    mask=row_fits[None, :] & value_fits[:, None],
                    other=0.0,
                )
                if element == tl.float32:
                    queries = tl.trans(tl.load(a_place + 2 * hidden_zero + a_index, mask=by_inner, other=0.0))
                o_second = tl.dot(state_second.to(element), queries, input_precision=PRECISION) * out_of_state
                o_second = tl.dot(encoded_second, scores, o_second, input_precision=PRECISION)
            state_second = tl.dot(encoded_second, weighted, state_second * chunk_decay, input_precision=PRECISION)
            if WRITE_OUTPUT:
                tokens_again += hidden_zero
                phase = phase_at(fraction[:, None], (position + start + tokens_again)[None, :], FAST_PHASES)
                turn_cosine = cosine(phase, FAST_PHASES)
                turn_sine = sine(phase, FAST_PHASES)
                slope = o_second * turn_cosine - o * turn_sine
                o = o * turn_cosine + o_second * turn_sine
                positions = (position + start + tokens).to(tl.float32)
                d_theta += tl.sum(x.to(tl.float32) * slope * positions[None, :], axis=1)
        else:
            if LRPE == LRPE_INNER:
                b_second = b * phase_sine
                b = b * phase_cosine
                if WRITE_OUTPUT:
                    a_second = a * phase_sine
                    a = a * phase_cosine
            values = tl.trans(c * weights)
            if WRITE_OUTPUT:
                # One product over both halves: Triton gives two that are added the same rows in every warp.
                scores = tl.dot(join_halves(b, b_second), tl.trans(join_halves(a, a_second)), input_precision=PRECISION)
                scores = (scores * mask).to(element)
                o = tl.dot(state.to(element), tl.trans(a), input_precision=PRECISION)
            state = tl.dot(values, b, state * chunk_decay, input_precision=PRECISION)
            if WRITE_OUTPUT:
                o = tl.dot(state_second.to(element), tl.trans(a_second), o, input_precision=PRECISION)
            state_second = tl.dot(values, b_second, state_second * chunk_decay, input_precision=PRECISION)
            if WRITE_OUTPUT:
                o = tl.dot(tl.trans(c), scores, o * out_of_state, input_precision=PRECISION)

        if WRITE_OUTPUT:
            if SCALED and not REVERSE:
                o *= scale
            tl.store(
                o_base + offset * O_TOKEN + (tokens[None, :] * O_TOKEN + value[:, None]),
                o.to(o_ptr.dtype.element_ty),
                mask=row_fits[None, :] & value_fits[:, None],
            )

    # Computed anew, through a zero that the compiler cannot see: kept alive across the loop they would cost registers.
    hidden_zero = tl.minimum(length, 0)
    inner += hidden_zero
    value += hidden_zero
    slot = ((sequence + hidden_zero).to(tl.int64) * heads + head) * state_size
    segment_slot = ((segment + hidden_zero).to(tl.int64) * heads + head) * state_size
    place = value[:, None] * state_value + inner[None, :] * state_inner
    value_fits = value < VALUE
    state_fits = value_fits[:, None] & (inner < INNER)[None, :]
    if LRPE == LRPE_NONE:
        second_state_fits = value_fits[:, None] & (inner + BLOCK_INNER < INNER)[None, :]
    else:
        second_state_fits = state_fits
    if WRITE_OUTPUT:
        if WRITE_FINAL:  # noqa: SIM102 - likewise
            if leaves_last:
                tl.store(final_ptr + slot + place, state, mask=state_fits)
                tl.store(final_ptr + slot + place + half, state_second, mask=second_state_fits)
        if LRPE == LRPE_VALUE:
            if SCALED and not REVERSE:
                d_theta *= scale
            tl.store(
                d_theta_ptr + ((segment + hidden_zero).to(tl.int64) * heads + head) * VALUE + value,
                d_theta,
                mask=value_fits,
            )
    else:
        tl.store(segment_state_ptr + segment_slot + place, state, mask=state_fits)
        tl.store(segment_state_ptr + segment_slot + place + half, state_second, mask=second_state_fits)
