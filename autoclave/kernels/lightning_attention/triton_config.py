"""Which tile sizes the kernel ships with, and when a sequence is split into segments. Measured in docs/kernels.md."""

import functools
from dataclasses import dataclass
from typing import Literal

import torch

Lrpe = Literal[0, 1, 2]

# Three profiles: what runs in 99 KB of shared memory a block (sm_80, sm_86, sm_89, sm_120), sm_90, whose matrix units read
# shared memory (227 KB), and sm_100.
Profile = Literal["consumer", "hopper", "blackwell"]
HOPPER_SHARED_BYTES = 200_000

# Packed sequences are cut at multiples of this many tokens, always, so that a sequence's result cannot depend on its pack.
# A pack of 16,384 tokens, 8 heads and two value blocks then makes 256 programs, which fill a card of 132 multiprocessors;
# rows of 2,048 tokens need a first pass (two fifths of a scan) over half of their tokens.
PACKED_SEGMENT = 1024

# The cost rule's constants (microseconds, H100, bfloat16, d = 128), from docs/kernels.md.
CHUNK_MICROSECONDS = 1.6
WIDE_CHUNK_MICROSECONDS = 2.7
SPLIT_MICROSECONDS = 8.0


@dataclass(frozen=True)
class ScanConfig:
    """One compiled variant: tokens a chunk, width of the value block, warps, pipeline stages, dot precision for float32.

    `wide` is the kernel of triton_wide.py. Of the other one, `keep_mask` holds the decay mask of a chunk in registers
    (otherwise each chunk makes it anew) and `state_first` updates the state before the scores are made.
    """

    chunk: int
    block_value: int
    warps: int
    stages: int
    precision: str
    wide: bool = False
    keep_mask: bool = False
    state_first: bool = False


def block_width(width: int) -> int:
    """Smallest power of two that holds `width` channels, at least the 16 that a tensor core wants."""
    return max(16, 1 << (width - 1).bit_length())


@functools.cache
def scan_config(dtype: torch.dtype, inner: int, value: int, lrpe: Lrpe, profile: Profile) -> ScanConfig:
    """The shipped variant for operands of `inner` and `value` channels on a card of this profile.

    On Hopper a value block narrower than 64 is never used in half precision: Triton 3.6 compiled some of those to kernels
    that fault or give wrong numbers; narrow heads are padded instead.
    """
    large = block_width(inner) > 128
    if dtype == torch.float32:
        # Plain products, not three of tf32: those hold every operand twice and spill. float32 is for parity.
        return ScanConfig(16, 8 if lrpe == 2 else 16, 8, 1, "ieee", wide=lrpe != 0 or large)
    if profile == "consumer":
        if lrpe:
            return ScanConfig(16, 64, 8, 2, "ieee", wide=True)
        if large:
            return ScanConfig(32, 32, 8, 1, "ieee")
        return ScanConfig(32, 64, 8, 2, "ieee", keep_mask=True, state_first=True)
    if lrpe or large:
        return ScanConfig(32, 128, 8, 3, "ieee", wide=True)
    if profile == "hopper":
        return ScanConfig(64, 64, 4, 3, "ieee", keep_mask=True, state_first=True)
    return ScanConfig(64, 64, 4, 2, "ieee", keep_mask=True)


def profile_of(capability: int, shared_bytes: int) -> Profile:
    """The profile of a card by its major compute capability and the shared memory that a block may use, in bytes."""
    if shared_bytes < HOPPER_SHARED_BYTES:
        return "consumer"
    return "hopper" if capability == 9 else "blackwell"


@functools.cache
def device_limits(device_index: int) -> tuple[int, Profile]:
    """(streaming multiprocessors, profile) of a CUDA device."""
    properties = torch.cuda.get_device_properties(device_index)
    shared_bytes = int(properties.shared_memory_per_block_optin)  # type: ignore[attr-defined]
    return properties.multi_processor_count, profile_of(properties.major, shared_bytes)


def limits_of(tensor: torch.Tensor) -> tuple[int, Profile]:
    """`device_limits` of the device of a tensor of any shape and dtype; an H100's for a CPU, where kernels are interpreted."""
    if tensor.is_cuda:
        return device_limits(tensor.device.index)
    return 132, "hopper"


@functools.lru_cache(maxsize=4096)
def dense_segment(time: int, programs: int, slots: int, config: ScanConfig) -> int:
    """Tokens a segment for sequences of equal length: `time` for the single pass, less for the two-level scan.

    Cost of s segments: waves(s) * (chunks / s) * microseconds a chunk, where `slots` programs run at a time. With s > 1 add
    half of that again (the pass for the local states does about half the work) and SPLIT_MICROSECONDS for two launches
    more. The single pass reads nothing twice, so it wins as soon as batch x heads fills the card; the two-level scan wins
    on long sequences with few heads.
    """
    chunks = -(-time // config.chunk)
    microseconds = WIDE_CHUNK_MICROSECONDS if config.wide else CHUNK_MICROSECONDS
    best, best_cost = 1, float("inf")
    segments = 1
    while segments <= min(chunks // 2, 64) or segments == 1:
        waves = -(-programs * segments // slots)
        cost = waves * -(-chunks // segments) * microseconds
        if segments > 1:
            cost = 1.5 * cost + SPLIT_MICROSECONDS
        if cost < best_cost:
            best, best_cost = segments, cost
        segments *= 2
    return -(-chunks // best) * config.chunk
