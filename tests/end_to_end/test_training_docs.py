"""What docs/training.md says runs as written, in its order, on the small crawl's tokens."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import SmallRun

BLOCK = re.compile(r"```(bash|yaml|python)\n(.*?)```", flags=re.DOTALL)
TASK = '{"text": "the server reads its", "choices": [" file", " sea"], "answer": 0}\n'
PROGRAMS = {"autoclave": ["-m", "autoclave"], "torchrun": ["-m", "torch.distributed.run"]}


def run(folder: Path, *words: str) -> str:
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=offline, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_runs_as_written(finished: SmallRun, tmp_path: Path, repository: Path) -> None:
    for package in ("ray", "lm_eval", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/demo").symlink_to(finished.run)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/which_word.jsonl").write_text(TASK * 4)
    files = iter(["training.yaml", "tasks/which_word.yaml"])
    outputs = {}
    for kind, text in BLOCK.findall((repository / "docs/training.md").read_text(encoding="utf-8")):
        if kind == "yaml":
            (tmp_path / next(files)).write_text(text)
        elif kind == "python":
            outputs["python"] = run(tmp_path, "-c", text)
        else:
            for line in (line.split("  #")[0].strip() for line in text.splitlines()):
                program, *words = shlex.split(line)
                outputs[line] = run(tmp_path, *PROGRAMS[program], *words)
    assert next(files, None) is None
    assert len(outputs) >= 11
    assert "The server" in outputs["python"]
    [accuracy] = [text for line, text in outputs.items() if line.startswith("autoclave eval")]
    assert '"acc,none":' in accuracy
    one, three = (tmp_path / f"runs/{name}/model.safetensors" for name in ("model", "back"))
    assert one.read_bytes() == three.read_bytes()  # to the released names and back
