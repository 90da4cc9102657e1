# mypy: allow-untyped-defs, allow-incomplete-defs
"""Sine and cosine of LRPE phases in Triton: exact to about 1 ulp for float32, by the special function unit for the rest."""

import triton
import triton.language as tl


@triton.jit
def sine_cosine(phase, low=0.0):
    """sin and cos of float32 `phase` + `low`: Cody-Waite reduction by pi/2, then the Cephes polynomials (error about 1 ulp to 1e5).

    Not tl.sin/tl.cos: those carry the Payne-Hanek slow path, which spills to local memory.
    """
    quarter = tl.floor(phase * 0.6366197723675814 + 0.5)
    r = ((phase - quarter * 1.5703125) - quarter * 4.837512969970703e-4) - quarter * 7.549789954891882e-8 + low
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
def sine_cosine_at(theta, position):
    """sin and cos of theta * position, the product taken exactly: a phase of 1e5 rounded to float32 is off by 4e-3.

    In float64, so for a few numbers a program or a chunk, not for every token.
    """
    exact = theta.to(tl.float64) * tl.cast(position, tl.float64)
    phase = exact.to(tl.float32)
    return sine_cosine(phase, (exact - phase.to(tl.float64)).to(tl.float32))


@triton.jit
def reduce_phase(phase):
    """`phase` less its whole turns, in about [-pi, pi], for the hardware's sine and cosine.

    The nearest integer by adding and taking away 1.5 * 2^23; one term of 2 pi, whose error (1.7e-7 a turn) is below the
    rounding of the float32 phase itself (3.7e-7 a turn).
    """
    turns = (phase * 0.15915494309189535 + 12582912.0) - 12582912.0
    return phase - turns * 6.283185307179586


@triton.jit
def sine(phase, FAST: tl.constexpr):
    """sin; FAST is the special function unit, absolute error 2^-20, far below what half-precision operands keep."""
    if FAST:
        return tl.inline_asm_elementwise(
            "sin.approx.ftz.f32 $0, $1;", "=f,f", [reduce_phase(phase)], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        return sine_cosine(phase)[0]


@triton.jit
def cosine(phase, FAST: tl.constexpr):
    """cos, likewise."""
    if FAST:
        return tl.inline_asm_elementwise(
            "cos.approx.ftz.f32 $0, $1;", "=f,f", [reduce_phase(phase)], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        return sine_cosine(phase)[1]


@triton.jit
def phase_at(theta, position):
    """theta * position less its whole turns; in float64, likewise for few numbers."""
    exact = theta.to(tl.float64) * tl.cast(position, tl.float64)
    turns = tl.floor(exact * 0.15915494309189535 + 0.5)
    return (exact - turns * 6.283185307179586).to(tl.float32)
