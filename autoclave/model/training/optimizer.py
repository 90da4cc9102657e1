"""AdamW with decay on matrices only, and learning-rate schedules as functions of the step."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from autoclave.model.training.settings import OptimizerSettings


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The learning rate of 0-based `step` out of `steps`: a pure function, so that resuming needs no state."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "wsd":
        decay_steps = max(1, round(steps * settings.decay_share))
        progress = max(0.0, (step - (steps - decay_steps)) / decay_steps)
        scale = 1 - min(1.0, progress)
    else:
        progress = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
        scale = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.learning_rate * (settings.minimum_ratio + (1 - settings.minimum_ratio) * scale)


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: to matrices, not to the embedding, LRPE's theta or norm weights."""
    return parameter.dim() == 2 and not name.endswith(("embedding.weight", "lrpe.theta"))


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW in two groups (decayed, not decayed), parameters in the model's order; fused on CUDA.

    Of a sharded model it has this process's shares as plain tensors (`share_of`): every element is updated alone, and
    lists of DTensors would each go through PyTorch's sharding rules on the host, milliseconds a step.
    """
    named = [(name, share_of(parameter)) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": settings.weight_decay},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]
    on_cuda = any(parameter.is_cuda for _, parameter in named)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True if on_cuda else None,
    )


def share_of(parameter: nn.Parameter) -> nn.Parameter:
    """What the optimizer has of a parameter: itself, or of a DTensor the memory of this process's share. Always the
    same object, so that moments can be found by it."""
    if not isinstance(parameter, DTensor):
        return parameter
    share = getattr(parameter, "_share", None)
    if share is None:
        share = nn.Parameter(parameter.to_local().detach())  # of the same storage, which FSDP2 keeps
        parameter._share = share  # type: ignore[attr-defined]  # as torch marks parameters: lives as long as it does
    return share


def hand_over_gradients(model: nn.Module) -> None:
    """Give the shares that the optimizer has the gradients of the model's parameters: the same memory."""
    for parameter in model.parameters():
        if isinstance(parameter, DTensor):
            gradient = parameter.grad
            share_of(parameter).grad = gradient.to_local() if isinstance(gradient, DTensor) else None


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set every group's learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = value


def guarded_step(optimizer: torch.optim.AdamW, norm: Tensor, loss: Tensor, clip_norm: float) -> None:
    """One update with gradients scaled to a global norm of at most `clip_norm` (0 = as they are).

    None at all where `norm` or `loss` (float32, shape []) is not finite. Fused AdamW takes the factor and the verdict
    from the device: its launch does not wait for the host to read them, and no pass of its own scales the gradients.
    """
    scale = ((norm + 1e-6) / clip_norm).clamp_min(1.0) if clip_norm > 0 else torch.ones_like(norm)
    finite = torch.isfinite(norm + loss)
    if optimizer.defaults["fused"]:
        # The attributes by which GradScaler speaks to fused optimizers; PyTorch's types do not have them.
        optimizer.grad_scale, optimizer.found_inf = scale, (~finite).float()  # type: ignore[attr-defined]
        optimizer.step()
    elif finite:
        torch._foreach_div_(
            [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None], scale
        )
        optimizer.step()
