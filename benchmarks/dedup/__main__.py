"""Deduplication beside its peers: signatures, union-find, quality on labelled sets, the whole job, growth.

    python benchmarks/dedup.py signatures [--rensa-python P] [--datatrove-python P]
    python benchmarks/dedup.py union
    python benchmarks/dedup.py quality [--data DIR]
    python benchmarks/dedup.py threshold [--data DIR]
    python benchmarks/dedup.py rules [--data DIR]
    python benchmarks/dedup.py pipeline [--documents 50000] [--words 150] [--datatrove-python P]
    python benchmarks/dedup.py skew [--documents 50000]
    python benchmarks/dedup.py growth [--sizes 10000 100000 1000000] [--words 100]

rensa and datatrove run in environments of their own (pip install rensa==0.5.0 numpy; pip install datatrove==0.10.1
spacy tokenizers orjson regex), whose Python is given; without it their rows are skipped. Times of one core are CPU
seconds, the best of three runs; each line says what was measured against what in the same run.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

HERE = Path(__file__).resolve().parent


def best_cpu(function: Callable[[], Any], repeats: int = 3) -> float:
    """Return the least CPU seconds of a few runs."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        function()
        best = min(best, time.process_time() - started)
    return best


def row(name: str, value: float, unit: str, against: str = "") -> None:
    print(f"  {name:<44} {value:>14,.1f} {unit}  {against}")


@functools.cache
def vocabulary(size: int = 20_000) -> np.ndarray:
    """Return made-up lower-case words of the lengths of English ones."""
    rng = np.random.default_rng(7)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = rng.choice([2, 3, 4, 5, 6, 7, 8, 10], size, p=[0.1, 0.2, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05])
    return np.array(["".join(rng.choice(letters, n)) for n in lengths], object)


def texts(count: int, words: int, seed: int, spread: bool = False) -> list[str]:
    rng = np.random.default_rng(seed)
    names = vocabulary()
    lengths = rng.integers(words // 2, words * 3 // 2, count) if spread else np.full(count, words)
    return [" ".join(names[rng.integers(0, names.size, n)]) for n in lengths]


def shingles_of(text: str) -> list[bytes]:
    words = text.split()
    return [" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))]


def xxh3_32(data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def signatures(arguments: argparse.Namespace) -> None:
    """Text to signature: splitting, shingling, hashing, permuting, one core."""
    from datasketch import MinHash

    from autoclave.kernels.text.keys.minhash import permutations, sign_texts
    from autoclave.kernels.text.keys.normalisation import text_buffers

    corpus = texts(4000, 500, 1)
    buffers = text_buffers(pa.array(corpus))
    print(f"signatures: {len(corpus)} texts of 500 words, 5-gram shingles, one core, documents per CPU second")
    for num_perm in (112, 128, 256):
        ours = {}
        for scheme in ("affine32", "legacy"):
            a, b = permutations(num_perm, 1, scheme)
            run = functools.partial(sign_texts, *buffers, a, b, ngram=5, scheme=scheme)
            found = run()[0]
            for i in range(0, 4000, 400):
                peer = MinHash(num_perm, seed=1, scheme=scheme, hashfunc=xxh3_32)
                peer.update_batch(shingles_of(corpus[i]))
                assert (peer.hashvalues == found[i]).all(), "signatures differ from datasketch's"
            ours[scheme] = len(corpus) / best_cpu(run, 5)
        row(f"autoclave affine32, {num_perm}", ours["affine32"], "docs/s", "equal to datasketch 2.0")
        row(f"autoclave legacy, {num_perm}", ours["legacy"], "docs/s", "equal to datasketch 2.0, scheme legacy")
        compare_datasketch(corpus, num_perm, ours["affine32"])
        if arguments.rensa_python:
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write("\n".join(corpus))
                file.flush()
                script = [arguments.rensa_python, str(HERE / "peers/rensa_minhash.py"), file.name, str(num_perm)]
                answer = subprocess.run(script, capture_output=True, text=True, check=True, env=one_thread())
            rate = len(corpus) / float(answer.stdout)
            row("rensa 0.5, splitting included", rate, "docs/s", f"{ours['affine32'] / rate:.1f} times (bar 4)")
        else:
            print("  rensa: skipped, no --rensa-python")
    compare_datatrove_signatures(arguments, ours["affine32"])


def compare_datasketch(corpus: list[str], num_perm: int, ours: float) -> None:
    from datasketch import MinHash

    def update_loop() -> None:
        for text in corpus[:60]:
            sketch = MinHash(num_perm)
            for shingle in shingles_of(text):
                sketch.update(shingle)

    prepared = [shingles_of(text) for text in corpus[:600]]

    def bulk() -> None:
        MinHash.bulk(prepared, num_perm=num_perm, hashfunc=xxh3_32)

    loop, batch = 60 / best_cpu(update_loop), 600 / best_cpu(bulk)
    row("datasketch update loop (sha1)", loop, "docs/s", f"{ours / loop:.0f} times (bar 100)")
    row("datasketch bulk xxh3, shingles ready", batch, "docs/s", f"{ours / batch:.1f} times (bar 5)")


def one_thread() -> dict[str, str]:
    return os.environ | {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def compare_datatrove_signatures(arguments: argparse.Namespace, ours: float) -> None:
    if not arguments.datatrove_python:
        print("  datatrove: skipped, no --datatrove-python")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        write_jsonl(source, texts(400, 500, 2), 1)
        answer = run_datatrove(arguments, "signature", source, Path(folder, "work"), 1)
    rate = 400 / answer["cpu"]
    row("datatrove signature stage", rate, "docs/s", f"{ours / rate:.0f} times (bar 200)")


def write_jsonl(folder: Path, corpus: list[str], files: int) -> None:
    folder.mkdir(parents=True)
    for part, positions in enumerate(np.array_split(np.arange(len(corpus)), files)):
        with (folder / f"{part:05d}.jsonl").open("w") as file:
            file.writelines(json.dumps({"id": f"d{i}", "text": corpus[i]}) + "\n" for i in positions)


def run_datatrove(arguments: argparse.Namespace, mode: str, source: Path, work: Path, workers: int) -> dict[str, Any]:
    script = [arguments.datatrove_python, str(HERE / "peers/datatrove_minhash.py"), mode, str(source), str(work)]
    answer = subprocess.run([*script, str(workers)], capture_output=True, text=True, env=one_thread())
    if answer.returncode:
        raise SystemExit(f"datatrove failed:\n{answer.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def union(arguments: argparse.Namespace) -> None:
    """Edges per second of a union-find: ours over compact ids, and a dictionary of (file, document) as datatrove's."""
    from autoclave.cleaning.dedup.clusters import dense_components

    rng = np.random.default_rng(3)
    nodes, edges = 1_000_000, 2_000_000
    left, right = rng.integers(0, nodes, edges), rng.integers(0, nodes, edges)
    dense_components(left[:10], right[:10], nodes)
    ours = edges / best_cpu(lambda: dense_components(left, right, nodes)) / 1e6
    pairs = [((int(a) >> 12, int(a) & 4095), (int(b) >> 12, int(b) & 4095)) for a, b in zip(left, right, strict=True)]
    pairs = pairs[: edges // 4]

    def dictionary() -> None:
        parent: dict[tuple[int, int], tuple[int, int]] = {}
        size: dict[tuple[int, int], int] = {}

        def find(x: tuple[int, int]) -> tuple[int, int]:
            if x not in parent or parent[x] == x:
                return x
            parent[x] = find(parent[x])
            return parent[x]

        for a, b in pairs:
            root_a, root_b = find(a), find(b)
            if root_a != root_b:
                size_a, size_b = size.get(root_a, 1), size.get(root_b, 1)
                if size_a < size_b:
                    root_a, root_b = root_b, root_a
                parent[root_b] = root_a
                size[root_a] = size_a + size_b

    theirs = len(pairs) / best_cpu(dictionary, 1) / 1e6
    print(f"union-find: {edges:,} random edges of {nodes:,} documents")
    row("autoclave, array over compact ids", ours, "M edges/s")
    row("dictionary of tuples, as datatrove", theirs, "M edges/s", f"{ours / theirs:.0f} times (bar 20)")
    _external_union()


def _external_union() -> None:
    """The external method on a graph of which memory holds an eighth, disk writes included."""
    from autoclave.cleaning.dedup.clusters import dense_components
    from autoclave.cleaning.dedup.external import NODE_BYTES, external_components

    rng = np.random.default_rng(3)
    nodes, edges = 8_000_000, 16_000_000
    left, right = rng.integers(0, nodes, edges), rng.integers(0, nodes, edges)
    budget = nodes * NODE_BYTES * 2 // 8
    dense = edges / best_cpu(lambda: dense_components(left, right, nodes), 1) / 1e6
    batches = list(zip(np.array_split(left, 64), np.array_split(right, 64), strict=True))
    label = np.arange(nodes)

    def disk() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for found, labels in external_components(batches, nodes, Path(folder), budget):
                label[found.astype(np.int64)] = labels

    disk()  # compiled
    rate = edges / best_cpu(disk, 1) / 1e6
    assert (label == dense_components(left, right, nodes)).all()
    note = f"{budget >> 20} MB in 8 ranges, the same labels; in memory {dense:.1f} M edges/s"
    row(f"autoclave, external, {edges:,} edges", rate, "M edges/s", note)


def read_jsonl_zst(path: Path) -> Iterator[dict[str, Any]]:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(path.read_bytes()) as stream:
        yield from map(json.loads, stream.read().decode().splitlines())


def labelled_sets(data: Path) -> Iterator[tuple[str, list[str], list[object]]]:
    """Yield (name, texts, labels): texts of one label are copies of one another."""
    import re

    import yaml
    import zstandard

    packed = (data / "dedup_articles/articles_1000.train.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().stream_reader(packed).read().decode().splitlines()
    names, articles = zip(*(line.split(" ", 1) for line in lines), strict=True)
    truth = (data / "dedup_articles/articles_1000.truth").read_text().split()
    twin = dict(zip(truth[1::2], truth[::2], strict=True))
    yield "articles (1,000, 10 pairs)", list(articles), [twin.get(name, name) for name in names]
    keys = yaml.safe_load((data / "dedup_licences/fixtures.yml").read_text())
    licences: list[tuple[str, object]] = []
    for record in read_jsonl_zst(data / "dedup_licences/licensee_fixtures.jsonl.zst"):
        parts = record["id"].split("/")
        if parts[1] == "fixtures":
            key = (keys.get(parts[2]) or {}).get("key")
            licences += [(record["text"], key)] if key not in (None, "other", "no-license") else []
        elif parts[1] == "choosealicense.com":
            licences.append((record["text"].split("---", 2)[-1], parts[-1].removesuffix(".txt").lower()))
    yield f"licences ({len(licences)}, label: licence)", *map(list, zip(*licences, strict=True))  # type: ignore[misc]
    laws = list(read_jsonl_zst(data / "zh_laws/laws.jsonl.zst"))
    acts = [re.sub(r"\(\d{4}.*?\)", "", law["id"].split("/")[-1]) for law in laws]
    yield f"Chinese acts ({len(laws)}, label: name of the act)", [law["text"] for law in laws], list(acts)


def pair_scores(found: set[tuple[int, int]], labels: list[object]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of pairs against equal labels."""
    members: dict[object, list[int]] = {}
    for i, label in enumerate(labels):
        members.setdefault(label, []).append(i)
    true = {(a, b) for group in members.values() for n, b in enumerate(group) for a in group[:n]}
    hits = len(found & true)
    precision, recall = hits / max(1, len(found)), hits / max(1, len(true))
    return precision, recall, 2 * precision * recall / max(1e-12, precision + recall)


def pairs_of_groups(group: list[object]) -> set[tuple[int, int]]:
    members: dict[object, list[int]] = {}
    for i, name in enumerate(group):
        members.setdefault(name, []).append(i)
    return {(a, b) for inside in members.values() for n, b in enumerate(inside) for a in inside[:n]}


def stage_groups(corpus: list[str], **settings: Any) -> list[object]:
    """Return the representative of each text after the dedup stage."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_parquet(Path(folder, "in"), corpus, 2)
        run_stage(Path(folder, "out"), paths, 0, **settings)
        table = pq.read_table(sorted(Path(folder, "out/ledger").iterdir()), columns=["doc_id", "duplicate_of"])
    ids, targets = table.column("doc_id").to_pylist(), table.column("duplicate_of").to_pylist()
    return [target or own for own, target in zip(ids, targets, strict=True)]


def datasketch_pairs(corpus: list[str], preset: str) -> set[tuple[int, int]]:
    """Return the candidate pairs of datasketch's LSH with a preset's bands, on our signatures (equal to its own)."""
    from datasketch import MinHash, MinHashLSH

    from autoclave.cleaning.dedup.minhash import Signer, preset_parameters

    parameters = preset_parameters(preset)
    table = Signer.of(parameters).sign(pa.array(corpus))[0]
    lsh = MinHashLSH(params=(parameters.bands, parameters.rows), num_perm=parameters.num_perm)
    sketches = [MinHash(hashvalues=values, scheme="affine32") for values in table]
    for i, sketch in enumerate(sketches):
        lsh.insert(i, sketch)
    found = ((i, j) for i, sketch in enumerate(sketches) for j in lsh.query(sketch) if i != j)
    return {(min(pair), max(pair)) for pair in found}


def quality(arguments: argparse.Namespace) -> None:
    """Pairs of the labelled sets: the stage with and without verification, beside datasketch on equal shingles."""
    from autoclave.cleaning.dedup.minhash import preset_parameters
    from autoclave.pipelines.dedup.settings import MinHashSettings

    print("quality: pairs of the same label; word 5-grams (Chinese: characters), datasketch with the same bands")
    print(f"  {'':<62} precision  recall     F1")
    for name, corpus, labels in labelled_sets(Path(arguments.data)):
        for preset in ("fineweb", "olmocr"):
            parameters = preset_parameters(preset)
            print(f"  {name}; {preset}, {parameters.bands} bands x {parameters.rows} rows")
            results = {"datasketch MinHashLSH, candidate pairs": datasketch_pairs(corpus, preset)}
            for verify in ("off", "jaccard"):
                groups = stage_groups(corpus, verify=verify, minhash=MinHashSettings(preset=preset))
                results[f"autoclave, verify: {verify}, pairs inside clusters"] = pairs_of_groups(groups)
            for method, found in results.items():
                precision, recall, f1 = pair_scores(found, labels)
                print(f"    {method:<60} {precision:9.3f} {recall:7.3f} {f1:6.3f}")


def write_parquet(folder: Path, corpus: list[str], files: int) -> list[str]:
    from autoclave.corpus.schema import DOCUMENT_SCHEMA, make_doc_id

    folder.mkdir(parents=True)
    paths = []
    for part, positions in enumerate(np.array_split(np.arange(len(corpus)), files)):
        columns = {
            "doc_id": pa.array([make_doc_id("corpus", int(i)) for i in positions], pa.binary(16)),
            "text": pa.array([corpus[i] for i in positions], pa.string()),
            "source": pa.array(["corpus"] * len(positions), pa.string()),
            "offset": pa.array(positions, pa.int64()),
        }
        arrays = [columns.get(field.name, pa.nulls(len(positions), field.type)) for field in DOCUMENT_SCHEMA]
        paths.append(str(folder / f"{part:06d}.parquet"))
        pq.write_table(pa.Table.from_arrays(arrays, schema=DOCUMENT_SCHEMA), paths[-1], row_group_size=4096)
    return paths


def run_stage(out: Path, paths: list[str], workers: int, progress: Any = None, **settings: Any) -> Any:
    from autoclave.corpus.storage import Folder
    from autoclave.pipelines.dedup.settings import DedupSettings
    from autoclave.pipelines.dedup.stage import run_dedup
    from autoclave.pipelines.running.engine import make_engine
    from autoclave.pipelines.running.stage import StageContext, parquet_shards

    engine = make_engine("local", workers)
    inputs = list(parquet_shards(paths))
    context = StageContext("dedup", Folder(out), DedupSettings(**settings), 0, engine, inputs=inputs)
    context.progress = progress or context.progress
    try:
        run_dedup(context)
    finally:
        engine.close()
    return context


def main() -> None:
    import dedup_quality
    import dedup_rules
    import dedup_scale

    commands = {
        "signatures": signatures,
        "union": union,
        "quality": quality,
        "threshold": dedup_quality.threshold,
        "rules": dedup_rules.rules,
        "pipeline": dedup_scale.pipeline,
        "skew": dedup_scale.skew,
        "growth": dedup_scale.growth,
        "growth-write": dedup_scale.growth_write,
        "growth-one": dedup_scale.growth_one,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(commands))
    parser.add_argument("--rensa-python", help="a Python with rensa")
    parser.add_argument("--datatrove-python", help="a Python with datatrove and spacy")
    default = os.environ.get("AUTOCLAVE_DATA", str(HERE.parent.parent / "shared/data"))
    parser.add_argument("--data", default=default, help="folder of the labelled sets")
    parser.add_argument("--folder", help="the corpus of growth-write and growth-one, which growth calls")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--words", type=int, default=150)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    arguments = parser.parse_args()
    commands[arguments.what](arguments)


if __name__ == "__main__":
    sys.modules.setdefault("dedup", sys.modules["__main__"])
    main()
