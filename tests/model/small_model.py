"""A model whose predictions are far from flat, although nobody trained it."""

from __future__ import annotations

import torch

from autoclave.model.config import ModelConfig
from autoclave.model.transnormer import TransNormerLLM

CONFIG = ModelConfig(vocabulary_size=211, hidden_size=64, layers=3, heads=4, glu_size=80)


def make_model(seed: int = 0) -> TransNormerLLM:
    model = TransNormerLLM(CONFIG).initialise(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and "theta" not in name and "embedding" not in name:
                parameter.mul_(4)
    return model
