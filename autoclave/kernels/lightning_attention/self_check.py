"""The first call on a GPU compares the kernels with the PyTorch path there, before anybody relies on them.

Triton 3.4 to 3.7.0 miscompiled `dot(trans(...))` on Hopper and gave wrong dk silently (flash-linear-attention
issues 640, 826, 984). The kernels here avoid that pattern; this check is for the next such bug.
"""

import functools
import warnings

import torch
from torch import Tensor

from autoclave.kernels.lightning_attention.chunk import lightning_attention_chunk

# Relative error (norm) that low-precision operands explain; a miscompile is off by 0.1 and more.
TOLERANCE = {torch.bfloat16: 3e-2, torch.float16: 5e-3, torch.float32: 1e-4}


@torch.inference_mode(False)
def relative_errors(
    device: torch.device, dtype: torch.dtype, key: int = 128, value: int = 128, lrpe: bool = False
) -> dict[str, float]:
    """Error of o, dq, dk, dv of the kernels against the PyTorch path in float32, on a small ragged random problem."""
    from autoclave.kernels.lightning_attention.triton_op import lightning_attention_triton

    generator = torch.Generator().manual_seed(1)
    names = ("q", "k", "v", "d_output")
    widths = (key, key, value, value)
    drawn = {
        n: torch.randn(1, 200, 2, width, generator=generator).to(device, dtype)
        for n, width in zip(names, widths, strict=True)
    }
    theta = torch.rand(2, key, generator=generator).to(device) if lrpe else None
    decay = torch.tensor([-0.4, -0.01], device=device)
    results: list[list[Tensor]] = []
    with torch.enable_grad():
        for function, kind in ((lightning_attention_triton, dtype), (lightning_attention_chunk, torch.float32)):
            q, k, v = (drawn[n].detach().to(kind).requires_grad_() for n in "qkv")
            output = function(q, k, v, decay, lrpe_theta=theta)[0]
            gradients = torch.autograd.grad(output, (q, k, v), drawn["d_output"].to(kind))
            results.append([output.detach(), *gradients])
    errors = {}
    for name, ours, reference in zip(("o", "dq", "dk", "dv"), *results, strict=True):
        errors[name] = float((ours.float() - reference).norm() / reference.norm())
    return errors


@functools.cache
def kernels_are_right(device_index: int, dtype: torch.dtype, key: int, value: int, lrpe: bool) -> bool:
    """Whether the kernels may be used on this device for these widths; warns once, saying what was wrong, if not."""
    errors = relative_errors(torch.device("cuda", device_index), dtype, key, value, lrpe)
    wrong = {name: error for name, error in errors.items() if not error <= TOLERANCE[dtype]}
    if wrong:
        found = ", ".join(f"{name} off by {error:.2g}" for name, error in wrong.items())
        warnings.warn(
            f"lightning_attention: the Triton kernels fail their self-check on "
            f"{torch.cuda.get_device_name(device_index)} in {dtype} ({found}); using the slower "
            "PyTorch path. Another Triton version may compile them rightly.",
            RuntimeWarning,
            stacklevel=3,
        )
    return not wrong
