"""TransNormerLLM for Hugging Face transformers: importing this module registers it with the Auto classes.

    import autoclave.model.formats.huggingface
    model = AutoModelForCausalLM.from_pretrained(folder)

Generation (sampling, beams, batches with left or right padding), save_pretrained and PEFT work as with any model there.
The cache is the model's constant-size state; padding is never computed, since real tokens are packed end to end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from autoclave.corpus.checksums import check
from autoclave.model.config import ModelConfig
from autoclave.model.formats.checkpoint import TOKENIZER_FILE, checkpoint_folder, load_model
from autoclave.model.state import ModelState
from autoclave.model.transnormer import LearnedPositions, TransNormerLLM


class TransNormerConfig(PreTrainedConfig):
    """`settings` holds our ModelConfig as it is; the rest is what transformers asks every model for."""

    model_type = "autoclave-transnormer"

    settings: dict[str, Any] | None = None
    vocab_size: int = 64_000
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    pad_token_id: int | None = 0
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    tie_word_embeddings: bool = False  # one matrix serves as both: there is nothing to tie
    use_cache: bool = True

    @classmethod
    def from_model_config(cls, config: ModelConfig) -> TransNormerConfig:
        """The transformers configuration of one of our models."""
        return cls(
            settings=msgspec.to_builtins(config),
            vocab_size=config.vocabulary_size,
            hidden_size=config.hidden_size,
            num_hidden_layers=config.layers,
            pad_token_id=config.pad_id,
            bos_token_id=config.bos_id,
            eos_token_id=config.eos_id,
        )

    def model_config(self) -> ModelConfig:
        """Our configuration; the vocabulary is vocab_size, which resizing the embedding changes."""
        settings = self.settings if self.settings is not None else msgspec.to_builtins(ModelConfig())
        return msgspec.convert(settings | {"vocabulary_size": self.vocab_size}, ModelConfig)


class StateCache:
    """The states of a batch, where transformers expects a key-value cache."""

    is_compileable = False

    def __init__(self, state: ModelState) -> None:
        self.state = state

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens of the longest sequence so far."""
        del layer_idx
        return int(self.state.positions.max())

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Follow the beams that were kept: int64 [beams], the old place of each."""
        self.state = self.state.select(beam_idx.to(self.state.positions.device))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each sequence `repeats` times."""
        count = len(self.state.positions)
        self.state = self.state.select(
            torch.arange(count, device=self.state.positions.device).repeat_interleave(repeats)
        )


class TransNormerForCausalLM(PreTrainedModel, GenerationMixin):
    """The language model with transformers' interface."""

    config_class = TransNormerConfig
    base_model_prefix = "transnormer"
    supports_gradient_checkpointing = False
    _is_stateful = True
    _no_split_modules = ["Layer"]  # noqa: RUF012 - the base class declares a plain list

    def __init__(self, config: TransNormerConfig) -> None:
        super().__init__(config)
        self.transnormer = TransNormerLLM(config.model_config())
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        config = self.transnormer.config
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, 0.0, config.initializer_range)
        elif isinstance(module, LearnedPositions):
            index = torch.arange(module.theta.numel(), dtype=torch.float64, device=module.theta.device)
            module.theta.copy_((10_000.0 ** (-2 * index / config.mixer_width)).view_as(module.theta))

    def get_input_embeddings(self) -> nn.Module:
        """The embedding, which is the head as well."""
        return self.transnormer.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding and with it the head."""
        self.transnormer.embedding = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> None:
        """None: the head is the embedding."""
        return None

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: StateCache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """input_ids int64 [batch, time]; attention_mask [batch, >= time], 0 at padding on either side.

        labels are shifted inside, -100 is ignored. In training mode with labels no logits are made (they are None).
        At right padding the hidden state of the last real token is repeated, so that the last column is what to
        continue from whatever the side of the padding.
        """
        inputs = inputs_embeds if inputs_embeds is not None else input_ids
        if inputs is None:
            raise ValueError("give input_ids or inputs_embeds")
        use_cache = self.config.use_cache and not self.training if use_cache is None else use_cache
        state = None if past_key_values is None else past_key_values.state
        mask = None if attention_mask is None else attention_mask[:, -inputs.shape[1] :].bool()
        hidden, state = self._run(inputs, mask, state, bool(use_cache))
        loss = None
        if labels is not None:
            targets = labels[:, 1:]
            if mask is not None:
                targets = targets.masked_fill(~(mask[:, :-1] & mask[:, 1:]), -100)  # a pad predicts nothing
            loss = self.transnormer.losses(hidden[:, :-1], targets, "mean")
        logits = None
        if labels is None or not self.training:
            logits = self.transnormer.logits(hidden[:, -logits_to_keep:] if logits_to_keep else hidden)
        # transformers hands any object back at the next step; only its annotation says Cache.
        cache: Any = None if state is None else StateCache(state)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=cache)

    def _run(
        self, inputs: Tensor, mask: Tensor | None, state: ModelState | None, use_cache: bool
    ) -> tuple[Tensor, ModelState | None]:
        """Hidden states [batch, time, hidden] and the state; padded batches are packed first."""
        if mask is None or bool(mask.all()):
            output = self.transnormer(inputs, state=state, return_state=use_cache)
            return output.hidden, output.state
        bounds = torch.cat([mask.new_zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)]).int()
        output = self.transnormer(inputs[mask][None], state=state, cu_seqlens=bounds, return_state=use_cache)
        # Each place shows the last real token up to it; places before the first show that one, and are never read.
        place = (mask.flatten().cumsum(0).view(mask.shape) - 1).clamp_min(0)
        return output.hidden[0][torch.maximum(place, bounds[:-1, None].long())], output.state


def to_huggingface(source: str | Path, out: str | Path) -> None:
    """Write a checkpoint folder of ours as one that AutoModelForCausalLM and AutoTokenizer read."""
    folder = checkpoint_folder(source)
    model = load_model(folder)
    wrapped = TransNormerForCausalLM(TransNormerConfig.from_model_config(model.config))
    wrapped.transnormer.load_state_dict(model.state_dict())
    wrapped.save_pretrained(out)
    if (folder / TOKENIZER_FILE).is_file():
        check(str(folder / TOKENIZER_FILE))
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / TOKENIZER_FILE), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )
        tokenizer.pad_token_id = model.config.pad_id
        tokenizer.save_pretrained(out)


AutoConfig.register(TransNormerConfig.model_type, TransNormerConfig)
AutoModelForCausalLM.register(TransNormerConfig, TransNormerForCausalLM)
