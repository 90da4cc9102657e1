"""What each transform does to good text: documents changed, letters lost and invented, the longest removal.

    python benchmarks/filters/harm_of_transforms.py [--only NAME] [--show N]

Sets (AUTOCLAVE_DATA or ../shared/data): texts that people wrote or published with care, in several hundred languages,
and web pages that native speakers called natural. Nothing in them has to be removed, so every figure is a cost. The
web sets hold some real damage, which a repair may change.
"""

from __future__ import annotations

import argparse
import difflib
import io
import itertools
import json
import os
import tarfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from autoclave.cleaning.transforms.protected import protected_spans
from autoclave.cleaning.transforms.registry import DEFAULT_TRANSFORMS, TRANSFORMS, Transform
from autoclave.corpus.extraction import decode, extract_text

DATA = Path(os.environ.get("AUTOCLAVE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))

BATCH = 1000

SETS = {
    "udhr": "lid_udhr/udhr.jsonl.zst",
    "bible": "lid_bible/verses.jsonl.zst",
    "tatoeba": "lid_tatoeba/tatoeba.jsonl.zst",
    "lingua": "lid_lingua/lingua_testdata.jsonl.zst",
    "novels": "books_eltec/novels.jsonl.zst",
    "openstax": "edu_openstax/sections.jsonl.zst",
    "peps": "tech_peps/peps.jsonl.zst",
    "mdn": "tech_mdn_de_mt/mdn_de.jsonl.zst",
    "zh_techdocs": "zh_techdocs/docs.jsonl.zst",
    "zh_laws": "zh_laws/laws.jsonl.zst",
    "zh_classical": "zh_classical/books.jsonl.zst",
    "zh_poetry": "zh_poetry/poems.jsonl.zst",
    "handbook": "html_debian_handbook/handbook.tar.zst",
    "ewt": "web_en_ewt/docs.jsonl.zst",
    "registers": "web_registers/docs.jsonl.zst",
    "hplt": "web_hplt/labelled.jsonl.zst",
}


@dataclass
class Harm:
    """What a transform did to a set of texts.

    letters_lost, letters_invented: letters (after NFC) that are missing from, or new in, the edited text; longest: the
    longest stretch in UTF-8 bytes that was replaced by something shorter, and that stretch; unprotected: pieces of
    code, formulas and tables that are no longer there as they were.
    """

    documents: int = 0
    changed: int = 0
    letters_lost: int = 0
    letters_invented: int = 0
    longest: int = 0
    longest_text: str = ""
    unprotected: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


def harm_of_transform(
    transform: Transform, texts: Iterable[str], *, raw: bool = True, language: str | None = None, examples: int = 0
) -> Harm:
    """Return what `transform` does to texts that are good as they are.

    raw: whether the texts' origin is unknown, so that markup in them may be taken for markup (False: extracted text);
    examples: how many changed places to keep, at most one a document.
    """
    harm = Harm()
    for batch in _batched(texts):
        column = pa.array(batch, pa.string())
        edited, changes = transform.apply(
            column, pa.array([language] * len(batch), pa.string()), np.full(len(batch), raw)
        )
        harm.documents += len(batch)
        for row in np.flatnonzero(changes).tolist():
            _count(harm, batch[row], edited[row].as_py(), examples)
    return harm


def _batched(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch


def _count(harm: Harm, before: str, after: str, examples: int) -> None:
    """Add one changed document."""
    harm.changed += 1
    harm.letters_lost += (letters(before) - letters(after)).total()
    harm.letters_invented += (letters(after) - letters(before)).total()
    harm.unprotected += (protected_pieces(before) - protected_pieces(after)).total()
    places = changed_places(before, after)
    for removed, new in places:
        size = len(removed.encode())
        if size > harm.longest and size > len(new.encode()):
            harm.longest, harm.longest_text = size, removed
    if len(harm.examples) < examples:
        harm.examples.append(next(iter(changed_places(before, after, 20)), (before, after)))


def letters(text: str) -> Counter[str]:
    """Return how often each letter stands in a text in NFC."""
    return Counter(sign for sign in unicodedata.normalize("NFC", text) if sign.isalpha())


def protected_pieces(text: str) -> Counter[bytes]:
    """Return the pieces of code, formulas and tables of a text."""
    data = text.encode()
    return Counter(data[start:end] for start, end in protected_spans(data))


def changed_places(before: str, after: str, context: int = 0) -> list[tuple[str, str]]:
    """Return (what stood there, what stands there now) for every place of a text that was edited."""
    places: list[tuple[str, str]] = []
    old, new = before.split("\n"), after.split("\n")
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        left, right = "\n".join(old[a:b]), "\n".join(new[c:d])
        if len(left) > 4000:
            places.append(_trimmed(left, right))
            continue
        for kind, i, j, k, m in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            if kind != "equal":
                places.append((left[max(0, i - context) : j + context], right[max(0, k - context) : m + context]))
    return places


def _trimmed(left: str, right: str) -> tuple[str, str]:
    """Both without the beginning and the end that they share."""
    shared = min(len(left), len(right))
    start = next((at for at in range(shared) if left[at] != right[at]), shared)
    end = next((at for at in range(shared - start) if left[-1 - at] != right[-1 - at]), shared - start)
    return left[start : len(left) - end], right[start : len(right) - end]


def good_texts(name: str, data: Path = DATA) -> Iterator[str]:
    """Yield the texts of one of SETS; of `hplt` those that native speakers found natural and in their language."""
    path = data / SETS[name]
    with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        if path.name.endswith(".tar.zst"):
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    stored = archive.extractfile(member) if member.name.endswith(".html") else None
                    if stored is not None:
                        yield extract_text(decode(stored.read()).text)
            return
        for line in io.TextIOWrapper(stream, "utf-8"):
            record = json.loads(line)
            if name != "hplt" or natural(record):
                yield record["text"]


def natural(record: dict[str, object]) -> bool:
    """Whether the annotators of the HPLT excerpts found nothing wrong with one."""
    return not record.get("unnatural") and record.get("lang_correct", 1) in (1, "1", True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="transforms whose names hold this")
    parser.add_argument("--sets", default="", help="sets whose names hold this")
    parser.add_argument("--show", type=int, default=0, help="changed places to print, a set and transform")
    arguments = parser.parse_args()
    print(
        f"{'transform':24}{'set':14}{'texts':>8}{'changed':>9}{'lost':>7}{'invented':>9}{'longest':>9}{'unprotected':>12}"
    )
    for set_name in [name for name in SETS if arguments.sets in name]:
        texts = list(good_texts(set_name))
        for name in [name for name in DEFAULT_TRANSFORMS if arguments.only in name]:
            harm = harm_of_transform(TRANSFORMS[name], texts, examples=arguments.show)
            print(
                f"{name:24}{set_name:14}{harm.documents:8}{harm.changed:9}{harm.letters_lost:7}"
                f"{harm.letters_invented:9}{harm.longest:9}{harm.unprotected:12}"
            )
            for old, new in harm.examples:
                print(f"    {old[:160]!r} -> {new[:160]!r}")


if __name__ == "__main__":
    main()
