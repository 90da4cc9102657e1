"""The texts of the dedup benchmarks, and writing them: made up, with planted copies, and the labelled sets."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zstandard

from autoclave.corpus.schema import make_documents
from benchmarks.data import existing, read_rows


@functools.cache
def vocabulary(size: int = 20_000) -> np.ndarray:
    """Return made-up lower-case words of the lengths of English ones."""
    rng = np.random.default_rng(7)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    lengths = rng.choice([2, 3, 4, 5, 6, 7, 8, 10], size, p=[0.1, 0.2, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05])
    return np.array(["".join(rng.choice(letters, n)) for n in lengths], object)


def texts(count: int, words: int, seed: int, spread: bool = False) -> list[str]:
    """Return texts of random words; spread: their lengths are from a half to one and a half of `words`."""
    rng = np.random.default_rng(seed)
    names = vocabulary()
    lengths = rng.integers(words // 2, words * 3 // 2, count) if spread else np.full(count, words)
    return [" ".join(names[rng.integers(0, names.size, n)]) for n in lengths]


def shingles_of(text: str) -> list[bytes]:
    """Return the word 5-grams of a text."""
    words = text.split()
    return [" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))]


def planted_corpus(count: int, words: int, seed: int = 11) -> tuple[list[str], list[int]]:
    """Return texts and the family of each: 10 % exact copies, 20 % with 1 to 8 % of their words changed."""
    rng = np.random.default_rng(seed)
    corpus = texts(count, words, seed, spread=True)
    family = list(range(count))
    names = vocabulary()
    for i in range(count // 10, count):
        draw = rng.random()
        if draw > 0.3:
            continue
        j = int(rng.integers(0, i))
        family[i] = family[j]
        corpus[i] = corpus[j]
        if draw > 0.1:
            own = corpus[j].split()
            for at in rng.integers(0, len(own), max(1, int(len(own) * rng.uniform(0.01, 0.08)))):
                own[at] = names[int(rng.integers(names.size))]
            corpus[i] = " ".join(own)
    return corpus, family


def labelled_sets(data: Path) -> Iterator[tuple[str, list[str], list[object]]]:
    """Yield (name, texts, labels): texts of one label are copies of one another."""
    packed = existing(data / "dedup_articles/articles_1000.train.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().stream_reader(packed).read().decode().splitlines()
    names, articles = zip(*(line.split(" ", 1) for line in lines), strict=True)
    truth = (data / "dedup_articles/articles_1000.truth").read_text().split()
    twin = dict(zip(truth[1::2], truth[::2], strict=True))
    yield "articles (1,000, 10 pairs)", list(articles), [twin.get(name, name) for name in names]
    keys = yaml.safe_load((data / "dedup_licences/fixtures.yml").read_text())
    licences: list[tuple[str, object]] = []
    for record in read_rows(data / "dedup_licences/licensee_fixtures.jsonl.zst"):
        parts = record["id"].split("/")
        if parts[1] == "fixtures":
            key = (keys.get(parts[2]) or {}).get("key")
            licences += [(record["text"], key)] if key not in (None, "other", "no-license") else []
        elif parts[1] == "choosealicense.com":
            licences.append((record["text"].split("---", 2)[-1], parts[-1].removesuffix(".txt").lower()))
    yield f"licences ({len(licences)}, label: licence)", [text for text, _ in licences], [key for _, key in licences]
    laws = list(read_rows(data / "zh_laws/laws.jsonl.zst"))
    acts = [re.sub(r"\(\d{4}.*?\)", "", law["id"].split("/")[-1]) for law in laws]
    yield f"Chinese acts ({len(laws)}, label: name of the act)", [law["text"] for law in laws], list(acts)


def write_parquet(folder: Path, corpus: list[str], files: int) -> list[str]:
    """Write texts as documents of the stage into a number of files, and return their paths."""
    folder.mkdir(parents=True)
    paths = []
    for part, positions in enumerate(np.array_split(np.arange(len(corpus)), files)):
        batch = make_documents([corpus[i] for i in positions], "corpus", offset=positions)
        paths.append(str(folder / f"{part:06d}.parquet"))
        pq.write_table(pa.Table.from_batches([batch]), paths[-1], row_group_size=4096)
    return paths


def write_jsonl(folder: Path, corpus: list[str], files: int) -> None:
    """Write texts as datatrove reads them, with `id` and `text`, into a number of files."""
    folder.mkdir(parents=True)
    for part, positions in enumerate(np.array_split(np.arange(len(corpus)), files)):
        with (folder / f"{part:05d}.jsonl").open("w") as file:
            file.writelines(json.dumps({"id": f"d{i}", "text": corpus[i]}) + "\n" for i in positions)
