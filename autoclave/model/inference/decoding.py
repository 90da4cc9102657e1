"""Decoding steps: plain, and as a CUDA graph, since at batch 1 the launches of a step cost more than its work."""

from __future__ import annotations

import torch
from torch import Tensor

from autoclave.model.state import ModelState
from autoclave.model.transnormer import TransNormerLLM


@torch.inference_mode()
def decode(model: TransNormerLLM, tokens: Tensor, state: ModelState) -> tuple[Tensor, ModelState]:
    """One step: tokens [sequences] int64 -> logits [sequences, vocabulary] and the next state."""
    output = model(tokens[:, None], state=state, return_state=True)
    return model.logits(output.hidden[:, 0]), output.state


class EagerDecoder:
    """Steps a batch one token at a time; sequences that ended can be left out."""

    def __init__(self, model: TransNormerLLM, state: ModelState) -> None:
        self.model, self.state = model, state

    def step(self, tokens: Tensor) -> Tensor:
        """tokens [sequences] int64 -> logits [sequences, vocabulary]."""
        logits, self.state = decode(self.model, tokens, self.state)
        return logits

    def keep(self, index: Tensor) -> None:
        """Go on with these sequences (int64 [n]) only."""
        self.state = self.state.select(index)


class GraphDecoder:
    """Replays one captured step for a fixed batch. Holds that batch's state; make one for each generation.

    On a GPU the attention step updates the state in place, so a replay advances it; the graph advances
    positions too.
    """

    def __init__(self, model: TransNormerLLM, state: ModelState) -> None:
        """Capture a step for the sequences of `state`, which is copied and left as it was. Needs a CUDA model."""
        self.model = model
        self.state = ModelState([memory.clone() for memory in state.memory], state.positions.clone())
        self.tokens = torch.zeros(len(state.positions), dtype=torch.int64, device=state.positions.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # warm-up: kernels compile, workspaces are allocated
            for _ in range(2):
                self._advance()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.logits = self._advance()
        for ours, given in zip(self.state.memory, state.memory, strict=True):
            ours.copy_(given)
        self.state.positions.copy_(state.positions)

    def _advance(self) -> Tensor:
        output = self.model(self.tokens[:, None], state=self.state, return_state=True)
        assert output.state is not None
        for ours, new in zip(self.state.memory, output.state.memory, strict=True):
            if ours.data_ptr() != new.data_ptr():
                ours.copy_(new)
        self.state.positions.copy_(output.state.positions)
        return self.model.logits(output.hidden[:, 0])

    def step(self, tokens: Tensor) -> Tensor:
        """tokens [sequences] int64 -> logits [sequences, vocabulary]; valid until the next step."""
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.logits
