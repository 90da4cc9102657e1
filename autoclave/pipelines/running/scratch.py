"""Scratch folders on local disk that a killed process does not leave behind for good."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield an empty folder of the system's temporary folder (TMPDIR), removed at the end.

    Its owner holds a lock on it, which ends with the process; so folders of the same prefix that nobody holds were
    left by killed processes, and are removed first.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        held = _lock(left)
        if held is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        own = _lock(folder)
        if own is not None and folder.exists():
            break
        if own is not None:  # another process took it for one that was left, before the lock
            os.close(own)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(own)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the lock on a folder; None where another process holds it or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
