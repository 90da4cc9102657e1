"""Log-likelihoods of choices against the plain softmax, and the harness on an offline task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_model import CONFIG, make_model

from autoclave.errors import RecipeError
from autoclave.model.config import encode_config
from autoclave.model.formats.checkpoint import save_weights
from autoclave.model.inference import likelihood
from autoclave.model.inference.likelihood import continuation_log_likelihoods

MODEL = make_model(3).double().eval()


def test_continuations_match_the_softmax_and_greedy_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.Generator().manual_seed(0)
    pairs = [([5, 9], [11, 4, 8]), ([], [7]), ([3] * 70, [9] * 65), ([5], []), ([8, 8], [9])]
    with torch.inference_mode():
        follow = int(MODEL.logits(MODEL(torch.tensor([[1, 8, 8]])).hidden[:, -1]).argmax())
    pairs.append(([8, 8], [follow]))
    pairs += [(torch.randint(3, 211, (n,), generator=random).tolist(), [n + 3]) for n in range(20)]
    want = []
    for context, continuation in pairs:
        tokens = torch.tensor([[1, *context, *continuation]])
        with torch.inference_mode():
            log_p = torch.log_softmax(MODEL.logits(MODEL(tokens).hidden), -1)[0, len(context) : -1]
        target = torch.tensor(continuation, dtype=torch.int64)
        want.append((log_p.gather(-1, target[:, None]).sum().item(), bool((log_p.argmax(-1) == target).all())))
    for pack, rows in ((8192, 512), (60, 7)):
        monkeypatch.setattr(likelihood, "PACK_TOKENS", pack)
        monkeypatch.setattr(likelihood, "LOGIT_ROWS", rows)
        got = continuation_log_likelihoods(MODEL, pairs)
        assert [value for value, _ in got] == pytest.approx([value for value, _ in want], abs=1e-9)
        assert [greedy for _, greedy in got] == [greedy for _, greedy in want]
    assert got[5][1]


TASK = """
task: pick
dataset_path: json
dataset_kwargs:
  data_files: {data}
output_type: multiple_choice
test_split: train
doc_to_text: "{{{{question}}}}"
doc_to_choice: ["a a", "b b"]
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""


def test_the_harness_runs_an_offline_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm_eval is not installed")
    tokenizers = pytest.importorskip("tokenizers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from autoclave.model.inference.evaluation import HarnessModel, evaluate

    vocabulary = {chr(97 + index): 3 + index for index in range(26)} | {" ": 40, "<unk>": 0, "<s>": 1, "</s>": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [], unk_token="<unk>"))
    (tmp_path / "model").mkdir()
    tokenizer.save(str(tmp_path / "model/tokenizer.json"))
    save_weights(tmp_path / "model/model.safetensors", dict(make_model(3).named_parameters()))
    (tmp_path / "model/config.json").write_bytes(encode_config(CONFIG))

    questions = ["what is it", "who", "where to", "z"]
    encoded = [tokenizer.encode(text).ids for text in questions]
    a, b = tokenizer.encode(" a a").ids, tokenizer.encode(" b b").ids
    scores = continuation_log_likelihoods(MODEL, [(q, c) for q in encoded for c in (a, b)])
    best = [int(scores[2 * row + 1][0] > scores[2 * row][0]) for row in range(4)]
    answers = [*best[:3], 1 - best[3]]  # three right, one wrong
    rows = [{"question": q, "answer": answer} for q, answer in zip(questions, answers, strict=True)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "pick.yaml").write_text(TASK.format(data=tmp_path / "data.jsonl"))
    results = evaluate(tmp_path / "model", ["pick"], task_folder=tmp_path, device="cpu")
    assert results["pick"]["acc,none"] == 0.75
    with pytest.raises(RecipeError, match="unknown task 'nothing'"):
        evaluate(tmp_path / "model", ["nothing"], device="cpu")
    harness = HarnessModel.from_checkpoint(tmp_path / "model", "cpu")
    text = harness._generate_one("what", {"until": ["e"], "max_gen_toks": 30})
    assert "e" not in text
