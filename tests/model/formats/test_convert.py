"""Released checkpoints: 5 L + 3 names, `.bin` and safetensors, sharded or not, there and back bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from oracle import Shape, logits
from safetensors.torch import save_file
from small_model import make_model

from autoclave.errors import CheckpointError, InputError
from autoclave.model.config import PRESETS, encode_config
from autoclave.model.formats import checkpoint as checkpoints
from autoclave.model.formats.convert import (
    config_from_released,
    config_to_released,
    convert_from_released,
    convert_to_released,
    from_released,
    to_released,
)
from autoclave.model.transnormer import TransNormerLLM

# As TransNormerLLM-1B's config.json reads, shortened to what matters.
RELEASED_1B: dict[str, Any] = {
    "architectures": ["TransnormerForCausalLM"],
    "model_type": "transnormer",
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 64000,
    "decoder_embed_dim": 2048, "hidden_dim": 2048, "decoder_layers": 16, "decoder_attention_heads": 16,
    "glu_dim": 5632, "glu_act": "none", "linear_act_fun": "swish", "norm_type": "simplermsnorm", "bias": False,
    "no_scale_embedding": False, "init_std": 0.02, "linear_use_lrpe_list": [1] + [0] * 15, "use_cache": True,
}  # fmt: skip


def released_folder(folder: Path, form: str) -> dict[str, torch.Tensor]:
    """A small released checkpoint in bfloat16, laid out as the releases are."""
    model = make_model().bfloat16()
    weights = {name: value.detach().clone() for name, value in to_released(dict(model.named_parameters())).items()}
    data = config_to_released(model.config)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(data))
    names = sorted(weights)
    parts = {"one": [names], "two": [names[: len(names) // 2], names[len(names) // 2 :]]}
    kind, count = form.split("-")
    for number, part in enumerate(parts[count], 1):
        stem = {"bin": "pytorch_model", "safetensors": "model"}[kind]
        name = f"{stem}.{kind}" if count == "one" else f"{stem}-{number:05d}-of-00002.{kind}"
        chosen = {key: weights[key] for key in part}
        if kind == "bin":
            torch.save(chosen, folder / name)
        else:
            save_file(chosen, folder / name)
        if count == "two":
            index = folder / f"{stem}.{kind}.index.json"
            mapping = json.loads(index.read_text())["weight_map"] if index.exists() else {}
            index.write_text(json.dumps({"weight_map": mapping | dict.fromkeys(part, name)}))
    return weights


@pytest.mark.parametrize("form", ["bin-one", "bin-two", "safetensors-one", "safetensors-two"])
def test_there_and_back_bit_for_bit(tmp_path: Path, form: str) -> None:
    released = released_folder(tmp_path / "released", form)
    assert len(released) == 5 * 3 + 3
    convert_from_released(tmp_path / "released", tmp_path / "ours")
    model = checkpoints.load_model(tmp_path / "ours")
    tokens = torch.randint(3, 211, (60,), generator=torch.Generator().manual_seed(0))
    got = model.float().logits(model(tokens[None]).hidden)[0]
    want = logits(tokens, released, Shape(layers=3, heads=4))
    assert (got - want).abs().max() < 1e-4
    for limit, files in ((10**9, 1), (40_000, None)):
        back = tmp_path / f"back-{limit}"
        convert_to_released(tmp_path / "ours", back, shard_bytes=limit)
        written: dict[str, torch.Tensor] = {}
        for path in back.glob("*.safetensors"):
            written |= checkpoints.load_weights(path)
        if files is None:
            mapping = json.loads((back / "model.safetensors.index.json").read_text())["weight_map"]
            assert sorted(mapping) == sorted(released)
        assert sorted(written) == sorted(set(released) - {"lm_head.weight"})
        for name, value in written.items():
            assert value.dtype == released[name].dtype
            assert value.shape == released[name].shape
            assert torch.equal(value.view(torch.int16), released[name].view(torch.int16)), name
        assert json.loads((back / "config.json").read_text()) == config_to_released(model.config)
        convert_from_released(back, tmp_path / f"again-{limit}")
        again = (tmp_path / f"again-{limit}/model.safetensors").read_bytes()
        assert again == (tmp_path / "ours/model.safetensors").read_bytes()


def test_the_released_1b_configuration_gives_the_preset() -> None:
    config = config_from_released(RELEASED_1B)
    assert msgspec.structs.replace(config, mixer_size=None) == PRESETS["tnl-1b"]
    with torch.device("meta"):
        names = to_released(dict(TransNormerLLM(config).named_parameters()))
    assert len(names) == 5 * 16 + 3
    assert names["model.layers.0.token_mixer.lrpe.theta"].shape == (16, 1, 128)
    assert names["model.layers.3.token_mixer.qkvu_proj.weight"].shape == (8192, 2048)


def test_what_cannot_be_converted_right_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="norm_type = 'layernorm'"):
        config_from_released(RELEASED_1B | {"norm_type": "layernorm"})
    with pytest.raises(CheckpointError, match="linear_use_lrpe_list"):
        config_from_released(RELEASED_1B | {"linear_use_lrpe_list": [0, 1] + [0] * 14})
    with pytest.raises(CheckpointError, match="decay = 'paper'"):
        config_to_released(msgspec.structs.replace(PRESETS["tnl-1b"], decay="paper"))
    with pytest.raises(CheckpointError, match=r"'model\.norm\.weight' is not a tensor"):
        from_released({"model.norm.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="untied head"):
        from_released({"lm_head.weight": torch.zeros(1), "model.embed_tokens.weight": torch.ones(1)})
    with pytest.raises(InputError, match=r"holds no config\.json"):
        convert_from_released(tmp_path, tmp_path / "out")
    released_folder(tmp_path / "cut", "safetensors-two")
    (tmp_path / "cut/model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="named by the index, but missing"):
        convert_from_released(tmp_path / "cut", tmp_path / "out")


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config_to_released(make_model().config)))
    torch.save({"model.embed_tokens.weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: not a plain state dict"):
        convert_from_released(folder, tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_ours_is_not_taken_for_a_released_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(encode_config(make_model().config))
    with pytest.raises(CheckpointError, match="not a released configuration"):
        convert_from_released(tmp_path, tmp_path / "out")
