"""The event file: published checksum vectors, TensorBoard's own reader, and no step twice after a resume."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from batches import PatternLoader
from small_training import CONFIG, SETTINGS, losses

from autoclave.model.training.loop import train
from autoclave.model.training.tensorboard import EVENT_FILE, crc32c


def test_crc32c_matches_the_vectors_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def count_records(path: Path) -> int:
    data, place, count = path.read_bytes(), 0, 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        place += 8 + 4 + length + 4
        count += 1
    assert place == len(data)
    return count


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, tensorboard=True, steps=6)
    train(CONFIG, settings, PatternLoader(), tmp_path)
    with open(tmp_path / EVENT_FILE, "ab") as file:
        file.write(b"torn by a kill")
    train(CONFIG, msgspec.structs.replace(settings, steps=9), PatternLoader(), tmp_path)
    assert count_records(tmp_path / EVENT_FILE) == 1 + 9


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    train(CONFIG, msgspec.structs.replace(SETTINGS, tensorboard=True, steps=5), PatternLoader(), tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    read = [(event.step, event.value) for event in events.Scalars("loss")]
    want = losses(tmp_path)
    assert [step for step, _ in read] == [step for step, _ in want]
    assert [value for _, value in read] == pytest.approx([value for _, value in want], rel=1e-6)
