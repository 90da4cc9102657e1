"""Dolma's taggers over every document, run by the Python of its own environment (one core).

    PYTHON benchmarks/peers/dolma_taggers.py TEXTS

TEXTS is a file of one JSON string a line. `gopher_v2` is decided on with the limits of Rae et al. 2021, `c4_v2` as its
configs/c4-replication/mixer.yaml does. Prints JSON: our families, joined by + -> [CPU seconds, reasons, null for keep].
"""

import json
import sys
import time
from pathlib import Path

from dolma.core.data_types import Document
from dolma.taggers.c4 import FasterC4Tagger
from dolma.taggers.gopher import GopherTaggerV2

LIMITS = {
    "fraction_of_duplicate_lines": (0, 0.3),
    "fraction_of_characters_in_duplicate_lines": (0, 0.2),
    **{f"fraction_of_characters_in_most_common_{n}grams": (0, limit) for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{
        f"fraction_of_characters_in_duplicate_{n}grams": (0, limit)
        for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    },
    "word_count": (50, 100_000),
    "median_word_length": (3, 10),
    "symbol_to_word_ratio": (0, 0.1),
    "fraction_of_words_with_alpha_character": (0.8, 1),
    "required_word_count": (2, 10**9),
    "fraction_of_lines_starting_with_bullet_point": (0, 0.9),
    "fraction_of_lines_ending_with_ellipsis": (0, 0.3),
}


def gopher(spans):
    for span in spans:
        low, high = LIMITS.get(span.type, (0, 10**12))
        if not low <= span.score <= high:
            return span.type
    return None


def c4(spans):
    return next((span.type for span in spans if span.type.startswith("has_")), None)


def main() -> None:
    texts = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    result = {}
    taggers = {"gopher_repetition+gopher_quality": (GopherTaggerV2(), gopher), "bad_words+c4": (FasterC4Tagger(), c4)}
    for name, (tagger, decide) in taggers.items():
        started, said = time.process_time(), []
        for text in texts:
            said.append(decide(tagger.predict(Document(source="", version="", id="", text=text)).spans))
        result[name] = (time.process_time() - started, said)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
