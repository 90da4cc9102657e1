"""Benchmark tasks through lm-evaluation-harness: `autoclave eval --tasks ...`, offline task files included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer

from autoclave.errors import CheckpointError, RecipeError
from autoclave.model.devices import resolve_device
from autoclave.model.formats.checkpoint import TOKENIZER_FILE, checkpoint_folder, load_model
from autoclave.model.inference.generation import SamplingSettings, stream
from autoclave.model.inference.likelihood import continuation_log_likelihoods
from autoclave.model.transnormer import TransNormerLLM


class HarnessModel(TemplateLM):
    """A checkpoint as the harness sees it: log-likelihoods of continuations and of whole texts, and generation."""

    def __init__(self, model: TransNormerLLM, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.encoder = tokenizer

    @classmethod
    def from_checkpoint(cls, folder: str | Path, device: str = "auto") -> HarnessModel:
        """Open a checkpoint folder. Raises CheckpointError where it has no tokenizer.json."""
        path = checkpoint_folder(folder) / TOKENIZER_FILE
        if not path.is_file():
            raise CheckpointError(f"{folder}: has no {TOKENIZER_FILE}; copy the one that the model was trained with")
        return cls(load_model(folder, device=str(resolve_device(device))), Tokenizer.from_file(str(path)))

    @property
    def eot_token_id(self) -> int:
        """The id that ends a document."""
        return self.model.config.eos_id

    @property
    def prefix_token_id(self) -> int:
        """The id that begins a document."""
        return self.model.config.bos_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids without special tokens."""
        del add_special_tokens
        return list(self.encoder.encode(string, add_special_tokens=False).ids)

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        bos = self.model.config.bos_id
        pairs = [(context[1:] if context[:1] == [bos] else context, target) for _, context, target in requests]
        return continuation_log_likelihoods(self.model, pairs)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts: any length, since the state carries on."""
        del disable_tqdm
        texts = [((), self.tok_encode(request.args[0])) for request in requests]
        return [value for value, _ in continuation_log_likelihoods(self.model, texts)]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy or sampled text after each context, up to the first of its stop strings."""
        del disable_tqdm
        return [self._generate_one(*request.args) for request in requests]

    def _generate_one(self, context: str, options: dict[str, Any]) -> str:
        stops = options.get("until", [])
        stops = [stops] if isinstance(stops, str) else stops
        settings = SamplingSettings(
            max_new_tokens=int(options.get("max_gen_toks", 256)),
            temperature=float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0,
        )
        ids: list[int] = []
        text = ""
        for step in stream(self.model, [[self.model.config.bos_id, *self.tok_encode(context)]], settings):
            if step[0] is None or step[0] == self.model.config.eos_id:
                break
            ids.append(step[0])
            text = self.encoder.decode(ids)
            if any(stop in text for stop in stops if stop):
                break
        ends = [text.index(stop) for stop in stops if stop and stop in text]
        return text[: min(ends)] if ends else text


def evaluate(
    folder: str | Path,
    tasks: Sequence[str],
    *,
    task_folder: str | Path | None = None,
    few_shot: int | None = None,
    limit: int | None = None,
    device: str = "auto",
) -> dict[str, dict[str, Any]]:
    """Metrics of each task, as the harness names them.

    task_folder: offline task files (YAML, with data_files that lie on this machine).
    Raises RecipeError for a task that does not exist.
    """
    manager = TaskManager(include_path=None if task_folder is None else str(task_folder))
    unknown = [task for task in tasks if task not in manager.all_tasks]
    if unknown:
        raise RecipeError(f"unknown task '{unknown[0]}'; give --task-folder for tasks of your own")
    results = simple_evaluate(
        model=HarnessModel.from_checkpoint(folder, device),
        tasks=list(tasks),
        task_manager=manager,
        num_fewshot=few_shot,
        limit=limit,
        bootstrap_iters=0,
        log_samples=False,
    )
    return {} if results is None else dict(results["results"])
