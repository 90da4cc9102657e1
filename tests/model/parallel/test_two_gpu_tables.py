"""The verdict of the two-GPU run: what is not finite, missing or apart is found, never passed over."""

import json
from typing import Any

from benchmarks.gpu.two_tables import BARS, apart, tables, wrong


def line(step: int, loss: float | None) -> dict[str, Any]:
    return {"step": step, "loss": loss, "grad_norm": loss}


def results() -> dict[str, Any]:
    legs = [{"lines": [line(1, 2.0)]}, {"lines": [line(2, 1.5)]}]
    whole = {"lines": [line(1, 2.0), line(2, 1.5)]}
    one = {f"{row}, {precision}": whole for row in ("one", "one row") for precision in ("float32", "bfloat16")}
    two = {f"{way} {precision}": whole for way in BARS for precision in ("float32", "bfloat16")}
    resume: dict[str, Any] = dict.fromkeys(BARS, legs) | {"whole on one": [whole], "whole on two": [whole]}
    resume["saving"] = [{"lines": [], "save": {}}]
    found: dict[str, Any] = json.loads(
        json.dumps({"parity": {"one": one, "two": two}, "resume": resume})
    )  # nothing shared
    return found


def test_equal_runs_have_nothing_wrong() -> None:
    assert wrong(results(), BARS) == []


def test_what_is_not_finite_missing_or_apart_is_wrong() -> None:
    found = results()
    found["resume"]["sequence"][0]["lines"][0]["loss"] = None
    found["resume"]["tensor"].pop()
    found["resume"]["fsdp2"][1]["lines"][0]["loss"] += 1e-3
    found["resume"]["saving"] = [{"error": "OSError: no space"}]
    del found["parity"]["two"]["tensor bfloat16"]
    places = [problem.split(":")[0] for problem in wrong(found, BARS)]
    assert places == ["parity of tensor bfloat16", *(f"resume, {way}" for way in BARS), "resume"]
    assert "| sequence | 1 to 2 | inf |" in tables(found, BARS)


def test_differences_are_of_the_same_steps() -> None:
    ours, theirs = [line(1, 2.0), line(2, 3.0)], [line(1, 2.5), line(2, 2.0)]
    assert apart(ours, theirs, "loss") == 1.0
    assert apart(ours, theirs, "loss", relative=True) == 0.5
    assert apart(ours, theirs[1:], "loss") == float("inf")
    assert apart([], [], "loss") == float("inf")
