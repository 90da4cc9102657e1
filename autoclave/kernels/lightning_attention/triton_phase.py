# mypy: allow-untyped-defs, allow-incomplete-defs
"""Sine and cosine of LRPE phases in Triton: exact to about 1 ulp for float32, by the special function unit for the rest."""

import triton
import triton.language as tl


@triton.jit
def sine_cosine(phase):
    """sin and cos of float32 `phase`: Cody-Waite reduction by pi/2, then the Cephes polynomials (error about 1 ulp to 1e5).

    Not tl.sin/tl.cos: those carry the Payne-Hanek slow path, which spills to local memory.
    """
    quarter = tl.floor(phase * 0.6366197723675814 + 0.5)
    r = ((phase - quarter * 1.5703125) - quarter * 4.837512969970703e-4) - quarter * 7.549789954891882e-8
    square = r * r
    sine = r + r * square * (-1.6666654611e-1 + square * (8.3321608736e-3 - square * 1.9515295891e-4))
    cosine = (
        1.0
        - 0.5 * square
        + square * square * (4.166664568e-2 + square * (2.443315711809948e-5 * square - 1.388731625e-3))
    )
    quadrant = quarter.to(tl.int32) & 3
    swap = (quadrant & 1) == 1
    out_sine = tl.where(swap, cosine, sine)
    out_cosine = tl.where(swap, sine, cosine)
    out_sine = tl.where(quadrant >= 2, -out_sine, out_sine)
    out_cosine = tl.where((quadrant == 1) | (quadrant == 2), -out_cosine, out_cosine)
    return out_sine, out_cosine


@triton.jit
def turn_fraction(theta, FAST: tl.constexpr):
    """theta in turns, less its whole turns, as an integer: what `phase_at` multiplies by a position.

    int32 in units of 2^-32 turn where FAST, which is off by at most 7.3e-10 radians a token (1e-4 at position 131,072), far
    below what half precision keeps; else int64 in units of 2^-62.
    """
    turns = theta.to(tl.float64) * 0.15915494309189535
    turns -= tl.floor(turns + 0.5)
    if FAST:
        return tl.floor(turns * 4294967296.0 + 0.5).to(tl.int32)
    else:
        return tl.floor(turns * 4611686018427387904.0 + 0.5).to(tl.int64)


@triton.jit
def phase_at(fraction, position, FAST: tl.constexpr):
    """theta * position in [-pi, pi], float32, from theta's `turn_fraction`.

    In integers that wrap around, since a float32 phase of 1e5 is off by 4e-3. `position` is int64, int32 where FAST.
    """
    product = fraction * position
    if not FAST:
        product = ((product << 2) >> 32).to(tl.int32)
    return product.to(tl.float32) * 1.4629180792671596e-09


@triton.jit
def sine(phase, FAST: tl.constexpr):
    """sin of a phase in [-pi, pi]; FAST is the special function unit, absolute error 2^-20: less than half precision keeps."""
    if FAST:
        return tl.inline_asm_elementwise(
            "sin.approx.ftz.f32 $0, $1;", "=f,f", [phase], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        return sine_cosine(phase)[0]


@triton.jit
def cosine(phase, FAST: tl.constexpr):
    """cos, likewise."""
    if FAST:
        return tl.inline_asm_elementwise(
            "cos.approx.ftz.f32 $0, $1;", "=f,f", [phase], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        return sine_cosine(phase)[1]
