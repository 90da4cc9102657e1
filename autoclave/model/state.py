"""What a pass over the model takes and leaves besides tokens: states of sequences, how they are packed, the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from autoclave.model.config import ModelConfig
from autoclave.model.parallel.sequence_parallel import Carry, Exchange


@dataclass
class ModelState:
    """What a sequence leaves behind: constant in size, whatever its length.

    memory: one [sequences, heads, key, value] tensor a layer, float32 (float64 in a float64 model)
    positions: [sequences] int64, tokens seen so far
    """

    memory: list[Tensor]
    positions: Tensor

    @classmethod
    def zeros(
        cls, config: ModelConfig, sequences: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> ModelState:
        """The state before the first token."""
        memory = [
            torch.zeros(sequences, config.heads, config.key_size(layer), config.head_size, device=device, dtype=dtype)
            for layer in range(config.layers)
        ]
        return cls(memory, torch.zeros(sequences, dtype=torch.int64, device=device))

    def select(self, index: Tensor) -> ModelState:
        """The states of these sequences (int64 [n]), in this order: for beams, and for dropping finished ones."""
        return ModelState([memory.index_select(0, index) for memory in self.memory], self.positions[index])

    @classmethod
    def concatenate(cls, states: list[ModelState]) -> ModelState:
        """Several batches of states as one."""
        layers = range(len(states[0].memory))
        memory = [torch.cat([state.memory[layer] for state in states]) for layer in layers]
        return cls(memory, torch.cat([state.positions for state in states]))


class Output(NamedTuple):
    """hidden: [batch, time, hidden_size], in the dtype of the activations; state when asked for; losses when targets
    were given: float32 (float64 in a float64 model), shape [], or [batch * time] unreduced."""

    hidden: Tensor
    state: ModelState | None
    losses: Tensor | None


class Packing(NamedTuple):
    """Where sequences start, how far each had come, and what ranks carry over; shared by all layers of one pass.

    cu_seqlens: int32 or int64 [sequences + 1], None where rows are not packed; positions: int64 [sequences], None for 0
    """

    cu_seqlens: Tensor | None
    positions: Tensor | None
    carry: Carry | None = None

    def starts(self) -> Tensor | None:
        """The position of each sequence's first token here, int64 [sequences]; None where all are 0."""
        if self.carry is None or self.cu_seqlens is None:
            return self.positions
        return self.carry.positions(self.cu_seqlens)

    def exchange(self, decay: Tensor) -> Exchange | None:
        """How states enter a piece of a stream, for a layer with these decays [heads]; None of whole sequences."""
        return None if self.carry is None else self.carry.exchange(decay)
