"""Shipped kernels compile for GPUs that are not here, and stay within their budget of registers and memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


def run_report(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The report in a process of its own: compiling and Triton's interpreter exclude each other."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(repository)
    command = [sys.executable, "-m", "benchmarks.kernels.ahead_of_time", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("arch", "match"),
    [(90, "scan-forward-bf16-128x128"), (90, "scan-dk-bf16-128x128"), (86, "scan-forward-bf16-128x128"), (80, "norm")],
)
def test_the_models_kernels_stay_within_budget(repository: Path, arch: int, match: str) -> None:
    report = run_report(repository, "--arch", str(arch), "--match", match)
    assert report.returncode == 0, report.stdout + report.stderr
    assert match in report.stdout


@pytest.mark.slow
@pytest.mark.parametrize("arch", [80, 86, 90, 100])
def test_every_shipped_kernel_stays_within_budget(repository: Path, arch: int) -> None:
    report = run_report(repository, "--arch", str(arch))
    assert report.returncode == 0, report.stdout + report.stderr


def test_what_the_budget_itself_promises(repository: Path) -> None:
    """The budget cannot drift: no spills on the model's path, tensor cores in use, half precision free of tf32."""
    budget = json.loads((repository / "benchmarks" / "kernels" / "kernel_budget.json").read_text())
    assert {key.rsplit("_", 1)[1] for key in budget} == {"80", "86", "90", "100"}
    for key, used in budget.items():
        name, arch = key.rsplit("@sm_", 1)
        if "bf16" in name or "fp16" in name:
            assert used["tf32"] == 0, key
            assert used["wgmma"] + used["mma"] > 0, key
        if name.startswith("scan") and "fp32" not in name and arch == "90":
            assert used["wgmma"] > 0, key
        if arch == "86":
            assert used["shared_bytes"] <= 101_376, key
        if "-bf16-128x128" in name and arch in ("86", "90"):
            # The LRPE layer's backward pass may spill up to four registers.
            assert used["spill_bytes"] <= (16 if "lrpe" in name else 0), key


def test_a_worse_kernel_fails_the_gate(repository: Path, tmp_path: Path) -> None:
    """A budget that is one register too small must fail: the gate is not decoration."""
    script = (repository / "benchmarks" / "kernels" / "ahead_of_time.py").read_text()
    budget = json.loads((repository / "benchmarks" / "kernels" / "kernel_budget.json").read_text())
    budget["prefix@sm_90"]["registers"] = 1
    (tmp_path / "ahead_of_time.py").write_text(script)
    (tmp_path / "kernel_budget.json").write_text(json.dumps(budget))
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(repository)
    report = subprocess.run(
        [sys.executable, str(tmp_path / "ahead_of_time.py"), "--arch", "90", "--match", "prefix"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert report.returncode == 1
    assert "registers" in report.stdout
