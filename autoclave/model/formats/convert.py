"""Released checkpoints to ours and back, bit for bit: only names and the shape of LRPE's theta differ.

Released names (5 L + 3 of them): `model.embed_tokens.weight`, `lm_head.weight` (the same tensor), a layer's
`token_mixer.{qkvu_proj,out_proj}.weight` and `channel_mixer.{l1,l2,l3}.weight`, and `token_mixer.lrpe.theta` [H, 1, dh]
where the layer has one.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from safetensors.torch import save_file
from torch import Tensor

from autoclave.corpus.checksums import check
from autoclave.errors import CheckpointError, InputError
from autoclave.model.config import ModelConfig, encode_config
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.transnormer import TransNormerLLM

_TO_RELEASED = {
    "mixer.qkvu.weight": "token_mixer.qkvu_proj.weight",
    "mixer.output.weight": "token_mixer.out_proj.weight",
    "mixer.gate_down.weight": "token_mixer.gate_down.weight",
    "mixer.gate_up.weight": "token_mixer.gate_up.weight",
    "mixer.lrpe.theta": "token_mixer.lrpe.theta",
    "channel.value.weight": "channel_mixer.l1.weight",
    "channel.gate.weight": "channel_mixer.l2.weight",
    "channel.output.weight": "channel_mixer.l3.weight",
}
_FROM_RELEASED = {theirs: ours for ours, theirs in _TO_RELEASED.items()}
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def from_released(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Ours from a released state dict: the same numbers in the same dtypes, LRPE's theta [H, 1, dh] as [H, dh].

    Raises CheckpointError for an unknown name, or where head and embedding are not the same numbers.
    """
    ours: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == _HEAD:
            if _EMBEDDING in weights and not torch.equal(value, weights[_EMBEDDING]):
                raise CheckpointError(f"{_HEAD} differs from {_EMBEDDING}: an untied head is not TransNormerLLM's")
        elif name == _EMBEDDING:
            ours["embedding.weight"] = value
        else:
            layer, part = _split_layer(name, "model.layers.")
            if part not in _FROM_RELEASED:
                raise CheckpointError(f"'{name}' is not a tensor of a TransNormerLLM checkpoint")
            value = value.squeeze(1) if part.endswith("lrpe.theta") else value
            ours[f"layers.{layer}.{_FROM_RELEASED[part]}"] = value
    return ours


def to_released(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the released names, `lm_head.weight` included (sharing the embedding's storage).

    The same numbers in the same dtypes, LRPE's theta [H, dh] as [H, 1, dh].
    """
    theirs: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == "embedding.weight":
            theirs[_EMBEDDING] = theirs[_HEAD] = value
            continue
        layer, part = _split_layer(name, "layers.")
        if part not in _TO_RELEASED:
            raise CheckpointError(f"'{name}' has no place in the released layout (an ablation option?)")
        theirs[f"model.layers.{layer}.{_TO_RELEASED[part]}"] = value.unsqueeze(1) if part.endswith("theta") else value
    return theirs


def _split_layer(name: str, prefix: str) -> tuple[str, str]:
    match = re.fullmatch(re.escape(prefix) + r"(\d+)\.(.+)", name)
    if match is None:
        raise CheckpointError(f"'{name}' is not a tensor of a TransNormerLLM checkpoint")
    return match[1], match[2]


def read_released_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a released folder: safetensors or `.bin` (loaded with weights_only), one file or sharded.

    They have the shapes and dtypes stored.

    Raises InputError when there are none, CheckpointError when an index names a missing file or tensor.
    """
    weights: dict[str, Tensor] = {}
    files, listed = _weight_files(folder)
    for file in files:
        if not file.exists():
            raise CheckpointError(f"{file}: named by the index, but missing")
        if file.suffix == ".safetensors":
            weights |= checkpoints.load_weights(file)
        else:
            weights |= _read_pickle(file)
    missing = sorted(set(listed) - set(weights) - {_HEAD})
    if missing:
        raise CheckpointError(f"{folder}: the index lists '{missing[0]}', which no file has")
    return weights


def _read_pickle(file: Path) -> dict[str, Tensor]:
    """A `.bin` file: tensors only, nothing in it can run."""
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{file}: not a plain state dict ({reason})") from error
    return dict(loaded)


def _weight_files(folder: Path) -> tuple[list[Path], list[str]]:
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        index = folder / f"{stem}{suffix}.index.json"
        if index.exists():
            mapping = msgspec.json.decode(index.read_bytes())["weight_map"]
            return [folder / name for name in sorted(set(mapping.values()))], list(mapping)
        if (folder / f"{stem}{suffix}").exists():
            return [folder / f"{stem}{suffix}"], []
    raise InputError(f"{folder}: holds neither model.safetensors nor pytorch_model.bin, nor an index of either")


def config_from_released(data: dict[str, Any]) -> ModelConfig:
    """Our config from a released config.json. Raises CheckpointError for an option that we would get wrong."""
    fixed = {"norm_type": "simplermsnorm", "bias": False, "linear_act_fun": ("swish", "silu"), "glu_act": "none"}
    for key, accepted in fixed.items():
        value = data.get(key, accepted)
        if value != accepted and value not in (accepted if isinstance(accepted, tuple) else ()):
            raise CheckpointError(f"config.json: {key} = {value!r} is not supported by the conversion")
    wanted = ("vocab_size", "decoder_embed_dim", "decoder_layers", "decoder_attention_heads", "glu_dim")
    absent = [key for key in wanted if key not in data]
    if absent:
        raise CheckpointError(f"config.json: has no '{absent[0]}': not a released configuration")
    lrpe = [bool(flag) for flag in data.get("linear_use_lrpe_list", [])]
    layers = data["decoder_layers"]
    patterns: dict[tuple[bool, ...], Literal["first", "all", "none"]] = {
        tuple(index == 0 for index in range(layers)): "first",
        (True,) * layers: "all",
        (False,) * layers: "none",
        (): "first",
    }
    if tuple(lrpe) not in patterns:
        raise CheckpointError("config.json: linear_use_lrpe_list is neither the first layer only, all, nor none")
    return ModelConfig(
        vocabulary_size=data["vocab_size"],
        hidden_size=data["decoder_embed_dim"],
        mixer_size=data.get("hidden_dim"),
        layers=layers,
        heads=data["decoder_attention_heads"],
        glu_size=data["glu_dim"],
        scale_embedding=not data.get("no_scale_embedding", False),
        lrpe=patterns[tuple(lrpe)],
        initializer_range=data.get("init_std", 0.02),
        pad_id=data.get("pad_token_id", 0),
        bos_id=data.get("bos_token_id", 1),
        eos_id=data.get("eos_token_id", 2),
    )


def config_to_released(config: ModelConfig) -> dict[str, Any]:
    """The released config.json of a model. Raises CheckpointError for options that the release does not have."""
    released = ModelConfig()
    same = ("decay", "decay_temperature", "absolute_positions", "mixer_activation", "value_activation", "gate")
    for name in (*same, "gate_activation", "glu_activation", "norm", "norm_epsilon"):
        if getattr(config, name) != getattr(released, name):
            raise CheckpointError(f"{name} = {getattr(config, name)!r} has no counterpart in the released code")
    return {
        "architectures": ["TransnormerForCausalLM"],
        "model_type": "transnormer",
        "vocab_size": config.vocabulary_size,
        "decoder_embed_dim": config.hidden_size,
        "hidden_dim": config.mixer_width,
        "decoder_layers": config.layers,
        "decoder_attention_heads": config.heads,
        "glu_dim": config.glu_size,
        "no_scale_embedding": not config.scale_embedding,
        "linear_use_lrpe_list": [int(config.has_lrpe(layer)) for layer in range(config.layers)],
        "linear_act_fun": "swish",
        "glu_act": "none",
        "norm_type": "simplermsnorm",
        "bias": False,
        "init_std": config.initializer_range,
        "pad_token_id": config.pad_id,
        "bos_token_id": config.bos_id,
        "eos_token_id": config.eos_id,
        "tie_word_embeddings": True,
    }


def convert_from_released(source: str | Path, out: str | Path) -> ModelConfig:
    """Turn a released folder into a checkpoint folder of ours; dtypes are kept, every tensor bit for bit."""
    source, out = Path(source), Path(out)
    config_file = source / "config.json"
    if not config_file.exists():
        raise InputError(f"{source}: holds no config.json; give the folder of a released checkpoint")
    config = config_from_released(msgspec.json.decode(config_file.read_bytes()))
    weights = from_released(read_released_weights(source))
    with torch.device("meta"):
        model = TransNormerLLM(config)
    checkpoints.assign_weights(model, weights, str(source))
    out.mkdir(parents=True, exist_ok=True)
    checkpoints.save_weights(out / checkpoints.WEIGHTS_FILE, weights)
    for name in (checkpoints.TOKENIZER_FILE, "tokenizer.model"):
        if (source / name).exists():
            checkpoints.write_atomically(out / name, (source / name).read_bytes())
    checkpoints.write_atomically(out / checkpoints.CONFIG_FILE, encode_config(config))
    checkpoints.record_files(out, "convert")
    return config


def convert_to_released(source: str | Path, out: str | Path, shard_bytes: int = 5 * 10**9) -> None:
    """Write a checkpoint of ours with the released names: safetensors, sharded with an index above `shard_bytes`."""
    folder, out = checkpoints.checkpoint_folder(source), Path(out)
    config = checkpoints.read_config(folder)
    released = config_to_released(config)
    weights = to_released(checkpoints.model_weights(folder))
    out.mkdir(parents=True, exist_ok=True)
    shards = list(_cut(weights, shard_bytes))
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        # The head shares the embedding's storage; files hold it once, the index lists it, as in the release.
        save_file({key: value.contiguous() for key, value in shard.items()}, out / name, metadata={"format": "pt"})
        index |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        index[_HEAD] = index[_EMBEDDING]
        listing = {"metadata": {"total_size": _bytes(weights)}, "weight_map": dict(sorted(index.items()))}
        checkpoints.write_atomically(out / "model.safetensors.index.json", msgspec.json.encode(listing))
    if (folder / checkpoints.TOKENIZER_FILE).exists():
        check(str(folder / checkpoints.TOKENIZER_FILE))
        checkpoints.write_atomically(
            out / checkpoints.TOKENIZER_FILE, (folder / checkpoints.TOKENIZER_FILE).read_bytes()
        )
    checkpoints.write_atomically(out / "config.json", msgspec.json.format(msgspec.json.encode(released)))


def _bytes(weights: dict[str, Tensor]) -> int:
    return sum(value.nbytes for name, value in weights.items() if name != _HEAD)


def _cut(weights: dict[str, Tensor], limit: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == _HEAD:
            continue
        if shard and _bytes(shard) + value.nbytes > limit:
            yield shard
            shard = {}
        shard[name] = value
    yield shard
