"""The transformers classes: the same numbers as our model, through generate, padding, beams, saving and LoRA."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_model import CONFIG, make_model

from autoclave.model.config import encode_config
from autoclave.model.formats.checkpoint import save_weights
from autoclave.model.inference.generation import SamplingSettings, beam_search, generate

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from autoclave.model.formats.huggingface import TransNormerForCausalLM, to_huggingface  # noqa: E402

OURS = make_model(3).double().eval()
PROMPTS = [[5, 9, 11], [7], list(range(3, 103)), [8, 8, 8, 8]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("hf")
    save_weights(source / "model.safetensors", dict(make_model(3).named_parameters()))
    (source / "config.json").write_bytes(encode_config(CONFIG))
    to_huggingface(source, out)
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> TransNormerForCausalLM:
    return transformers.AutoModelForCausalLM.from_pretrained(folder).double().eval()


def padded(side: str) -> dict[str, torch.Tensor]:
    longest = max(map(len, PROMPTS))
    ids = torch.zeros(len(PROMPTS), longest, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(PROMPTS):
        cut = slice(longest - len(prompt), None) if side == "left" else slice(0, len(prompt))
        ids[row, cut], mask[row, cut] = torch.tensor(prompt), 1
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches_generate_what_each_prompt_alone_does_twice(model: TransNormerForCausalLM, side: str) -> None:
    want = generate(OURS, PROMPTS, SamplingSettings(max_new_tokens=25, temperature=0))
    for _ in range(2):
        batch = padded(side)
        output = model.generate(**batch, max_new_tokens=25, do_sample=False)[:, batch["input_ids"].shape[1] :]
        for row, tokens in enumerate(want):
            got = output[row].tolist()
            assert got[: len(tokens)] == tokens


def test_cache_and_no_cache_agree_and_beams_work(model: TransNormerForCausalLM) -> None:
    ids = torch.tensor([PROMPTS[0]])
    cached = model.generate(ids, max_new_tokens=20, do_sample=False)
    assert torch.equal(cached, model.generate(ids, max_new_tokens=20, do_sample=False, use_cache=False))
    beams = model.generate(
        ids, max_new_tokens=6, num_beams=8, do_sample=False, length_penalty=0.0, early_stopping=False
    )
    want = beam_search(OURS, PROMPTS[0], beams=8, max_new_tokens=6, length_penalty=0)
    assert beams[0, 3 : 3 + len(want)].tolist() == want
    sampled = model.generate(ids, max_new_tokens=5, do_sample=True, num_return_sequences=3, top_k=20)
    assert sampled.shape == (3, 8)


def test_loss_logits_and_embeddings_as_input(model: TransNormerForCausalLM) -> None:
    ids = torch.randint(3, 211, (2, 30), generator=torch.Generator().manual_seed(0))
    output = model(ids, labels=ids)
    logits = OURS.logits(OURS(ids).hidden)
    torch.testing.assert_close(output.logits, logits, rtol=0, atol=1e-10)
    want = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert output.loss.item() == pytest.approx(want.item(), rel=1e-10)
    embedded = model(inputs_embeds=model.get_input_embeddings()(ids))
    torch.testing.assert_close(embedded.logits, logits, rtol=0, atol=1e-10)
    batch = padded("left")
    masked = model(**batch, labels=batch["input_ids"])
    total = count = 0
    for prompt in PROMPTS:
        tokens = torch.tensor([prompt])
        if len(prompt) > 1:
            total += float(OURS(tokens[:, :-1], targets=tokens[:, 1:]).losses)
            count += len(prompt) - 1
    assert masked.loss.item() == pytest.approx(total / count, rel=1e-9)


def test_saved_and_loaded_again_bit_for_bit(model: TransNormerForCausalLM, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert type(again) is TransNormerForCausalLM
    for (name, ours), (other, theirs) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(ours, theirs)


def test_a_fresh_model_starts_as_ours_does() -> None:
    config = TransNormerForCausalLM.config_class.from_model_config(CONFIG)
    fresh = TransNormerForCausalLM(config)
    theta = fresh.transnormer.layers[0].mixer.lrpe.theta
    torch.testing.assert_close(theta, make_model(0).layers[0].mixer.lrpe.theta)
    assert fresh.transnormer.embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_lora_trains_adapters_only(folder: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    lora = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["qkvu", "output"], task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW([p for p in lora.parameters() if p.requires_grad], lr=1e-2)
    ids = torch.randint(3, 211, (4, 40), generator=torch.Generator().manual_seed(0))
    losses = []
    for _ in range(15):
        loss = lora(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    merged = lora.unload().state_dict()
    for name, value in before.items():
        assert torch.equal(merged[name], value), name
