"""Which tile sizes the kernel ships with, and when a sequence is split into segments. Measured in docs/kernels.md."""

import functools
from dataclasses import dataclass
from typing import Literal

import torch

Lrpe = Literal[0, 1, 2]

# A block may use this much shared memory: sm_86 and sm_89 have 99 KB, sm_80 163 KB, sm_90 and sm_100 227 KB.
CONSUMER_SHARED_BYTES = 101_376

# Packed sequences are cut at multiples of this many tokens, always, so that a sequence's result cannot depend on its pack.
PACKED_SEGMENT = 512

# The cost rule's two constants (microseconds, H100, bfloat16, d = 128), from docs/kernels.md.
CHUNK_MICROSECONDS = 3.0
SPLIT_MICROSECONDS = 8.0


@dataclass(frozen=True)
class ScanConfig:
    """One compiled variant: tokens a chunk, width of the value block, warps, pipeline stages, dot precision for float32."""

    chunk: int
    block_value: int
    warps: int
    stages: int
    precision: str


def block_width(width: int) -> int:
    """Smallest power of two that holds `width` channels, at least the 16 that a tensor core wants."""
    return max(16, 1 << (width - 1).bit_length())


def scan_config(dtype: torch.dtype, inner: int, value: int, lrpe: Lrpe, shared_bytes: int) -> ScanConfig:
    """The shipped variant for operands of `inner` and `value` channels with `shared_bytes` of shared memory a block.

    The float32 state [inner, block_value] (two of them with LRPE) is held to 128 x 128, a quarter of the registers.
    """
    block_inner, states = block_width(inner), 2 if lrpe else 1
    consumer = shared_bytes < 150_000
    if dtype == torch.float32:
        widest = 4096 if consumer else 8192
        block_value = max(16, min(block_width(value), 32, widest // (block_inner * states)))
        return ScanConfig(16 if block_inner > 128 else 32, block_value, 4, 1, "tf32x3")
    large = block_inner * states > 128
    return ScanConfig(64, 64, 8 if large else 4, 1 if consumer else 2, "ieee")


@functools.cache
def device_limits(device_index: int) -> tuple[int, int]:
    """(streaming multiprocessors, shared memory a block may use in bytes) of a CUDA device."""
    properties = torch.cuda.get_device_properties(device_index)
    return properties.multi_processor_count, int(properties.shared_memory_per_block_optin)  # type: ignore[attr-defined]


def limits_of(tensor: torch.Tensor) -> tuple[int, int]:
    """`device_limits` of the tensor's device; an H100's where the kernel is interpreted on a CPU."""
    if tensor.is_cuda:
        return device_limits(tensor.device.index)
    return 132, 232_448


def dense_segment(time: int, programs: int, processors: int, chunk: int) -> int:
    """Tokens a segment for sequences of equal length: `time` for the single pass, less for the two-level scan.

    Cost of s segments, in the time of one chunk: waves(s) * chunks / s, plus the pass for the local states, about half of
    that, and the two launches it takes, if s > 1. The single pass reads nothing twice, so it wins as soon as batch x heads
    fills the card; the two-level scan wins on long sequences and few heads.
    """
    chunks = -(-time // chunk)
    best, best_cost = 1, float("inf")
    segments = 1
    while segments <= min(chunks // 2, 64) or segments == 1:
        waves = -(-programs * segments // processors)
        cost = waves * -(-chunks // segments) * CHUNK_MICROSECONDS
        if segments > 1:
            cost = 1.5 * cost + SPLIT_MICROSECONDS
        if cost < best_cost:
            best, best_cost = segments, cost
        segments *= 2
    return -(-chunks // best) * chunk
