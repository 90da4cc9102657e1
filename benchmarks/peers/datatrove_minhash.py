"""datatrove's MinHash dedup, run by the Python of its own environment: `signature` only, or all four `stages`.

    PYTHON benchmarks/peers/datatrove_minhash.py signature|stages INPUT_FOLDER WORK_FOLDER WORKERS

INPUT_FOLDER holds *.jsonl with `id` and `text`, one task a file. Prints one line of JSON: seconds, CPU seconds, and,
after `stages`, the ids that were kept and the buckets' edges (file, document, file, document). datatrove 0.10.1 needs
xxhash < 4.
"""

import json
import resource
import struct
import sys
import time
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.typeshelper import Languages


def execute(pipeline: list, tasks: int, workers: int, work: Path, name: str) -> None:
    LocalPipelineExecutor(
        pipeline, tasks=tasks, workers=workers, logging_dir=str(work / "logs" / name), skip_completed=False
    ).run()


def main() -> None:
    mode, source, work, workers = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    tasks = len(list(Path(source).glob("*.jsonl")))
    config = MinhashConfig(
        hash_config=HashConfig(precision=64, hash_fc="xxhash"), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )
    reader = JsonlReader(source, glob_pattern="*.jsonl")
    signature = MinhashDedupSignature(str(work / "signatures"), config=config, language=Languages.english)
    if mode == "signature":  # the tokeniser is loaded before the clock starts
        from datatrove.utils.word_tokenizers import load_word_tokenizer

        load_word_tokenizer(Languages.english).word_tokenize("load it")
    started, cpu = time.perf_counter(), cpu_seconds()
    execute([reader, signature], tasks, workers, work, "signatures")
    answer: dict = {}
    if mode == "stages":
        buckets = MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config)
        execute([buckets], config.num_buckets, workers, work, "buckets")
        cluster = MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=config)
        execute([cluster], 1, 1, work, "cluster")
        keep = [
            JsonlReader(source, glob_pattern="*.jsonl"),
            MinhashDedupFilter(str(work / "remove")),
            JsonlWriter(str(work / "kept"), compression=None),
        ]
        execute(keep, tasks, workers, work, "filter")
    answer |= {"seconds": time.perf_counter() - started, "cpu": cpu_seconds() - cpu}
    if mode == "stages":
        lines = (line for path in sorted((work / "kept").glob("*.jsonl")) for line in path.open())
        answer["kept"] = [json.loads(line)["id"] for line in lines]
        files = sorted((work / "buckets").rglob("*.dups"))
        answer["edges"] = [edge for path in files for edge in struct.iter_unpack("<4I", path.read_bytes())]
    print(json.dumps(answer))


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    main()
