"""How fast web archives are read, beside FastWARC and warcio, on the same bytes in the same run.

    python -m benchmarks.warc [--data ../shared/data] [--megabytes 64] [--repeats 7] [--seed 0]

Real records (of the files below DATA that FastWARC reads without a fault) are drawn with a seed until there are
`--megabytes` of them, uncompressed, and written as gzip, one member a record. FastWARC and warcio iterate over all
records and parse the HTTP heads of those that have one; FastWARC once without reading the bodies and once with. Ours
does what a run does: all that `read_warc` gives, as batches. Prints one JSON object a set of files: medians of CPU
time in seconds, records, and how many times FastWARC's iteration ours takes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from autoclave.corpus.readers.warc import read_warc

SETS = {
    "pages alone": ("extract_trafilatura/pages.warc.gz",),
    "crawl with requests and metadata": (
        "warc/wellformed/chatnoir-eu__chatnoir-resiliparse/warcfile.warc.gz",
        "warc/wellformed/commoncrawl__whirlwind-python/whirlwind.warc.gz",
        "warc/wellformed/N0taN3rd__node-warc/parseMe.warc.gz",
    ),
    "archive of 2008": ("warc/wellformed/chatnoir-eu__chatnoir-copycat/small-sample-1213893279526_0.derived.warc.gz",),
    "news, small files and WET": (
        "warc/wellformed/allenai__dolma/sample-0000.warc.gz",
        "warc/wellformed/commoncrawl__whirlwind-python/whirlwind.warc.wet.gz",
        "warc/wellformed/hynky1999__CmonCrawl/mini.warc.gz",
    ),
}


def records_of(path: Path) -> list[bytes]:
    """Return the records of a gzip file with one member a record, uncompressed."""
    data = path.read_bytes()
    starts = [record.stream_pos for record in ArchiveIterator(io.BytesIO(data))]
    return [gzip.decompress(data[begin:end]) for begin, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def write_archive(path: Path, records: list[bytes], size: int, rng: random.Random) -> int:
    """Write records drawn at random until they come to `size` bytes; return how many there are."""
    members = [gzip.compress(record, 6) for record in records]
    count = written = 0
    with open(path, "wb") as file:
        while written < size:
            at = rng.randrange(len(records))
            file.write(members[at])
            written += len(records[at])
            count += 1
    return count


def iterate_fastwarc(path: Path, *, read_bodies: bool) -> int:
    count = 0
    with open(path, "rb") as file:
        for record in ArchiveIterator(file, parse_http=True):
            count += 1
            if read_bodies and record.record_type == WarcRecordType.response:
                record.reader.read()
    return count


def iterate_warcio(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in WarcioIterator(file))


def read_ours(path: Path) -> int:
    skipped: list[str] = []
    faults: list[tuple[str, str]] = []
    rows = sum(batch.num_rows for batch in read_warc(path, "s", lambda *fault: faults.append(fault), skipped.append))
    assert not faults, faults[:3]
    return rows + len(skipped)


def medians(readers: dict[str, Callable[[], int]], repeats: int, records: int) -> dict[str, float]:
    """Return the median CPU seconds of each reader; they take turns, so that a busy machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(repeats):
        for name, reader in readers.items():
            started = time.process_time()
            count = reader()
            seconds[name].append(time.process_time() - started)
            assert count == records, (name, count, records)
    return {name: round(statistics.median(times), 4) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, files in SETS.items():
        records = [record for file in files for record in records_of(options.data / file)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "benchmark.warc.gz"
            count = write_archive(path, records, options.megabytes << 20, random.Random(options.seed))
            readers: dict[str, Callable[[], int]] = {
                "ours": lambda path=path: read_ours(path),  # type: ignore[misc]
                "fastwarc": lambda path=path: iterate_fastwarc(path, read_bodies=False),  # type: ignore[misc]
                "fastwarc_with_bodies": lambda path=path: iterate_fastwarc(path, read_bodies=True),  # type: ignore[misc]
                "warcio": lambda path=path: iterate_warcio(path),  # type: ignore[misc]
            }
            seconds = medians(readers, options.repeats, count)
            size = path.stat().st_size
        ratios = {f"ours_over_{peer}": round(seconds["ours"] / seconds[peer], 2) for peer in readers if peer != "ours"}
        print(json.dumps({"set": name, "records": count, "bytes": size, **seconds, **ratios}))


if __name__ == "__main__":
    main()
