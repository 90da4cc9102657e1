"""What docs/training.md says runs as written, in its order, on the small crawl's tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import run_page
from small_run import SmallRun

TASK = '{"text": "the server reads its", "choices": [" file", " sea"], "answer": 0}\n'


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_runs_as_written(finished: SmallRun, tmp_path: Path, repository: Path) -> None:
    for package in ("ray", "lm_eval", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/demo").symlink_to(finished.run)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/which_word.jsonl").write_text(TASK * 4)
    outputs = run_page(
        repository / "docs/training.md",
        tmp_path,
        files=["training.yaml", "tasks/which_word.yaml"],
        environment={"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    assert len(outputs) >= 11
    [python] = [text for line, text in outputs.items() if "\n" in line]
    assert "The server" in python
    [accuracy] = [text for line, text in outputs.items() if line.startswith("autoclave eval")]
    assert '"acc,none":' in accuracy
    one, three = (tmp_path / f"runs/{name}/model.safetensors" for name in ("model", "back"))
    assert one.read_bytes() == three.read_bytes()  # to the released names and back
