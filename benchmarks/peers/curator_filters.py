"""NeMo Curator's English heuristics over every document, run by the Python of its own environment (one core).

    PYTHON benchmarks/peers/curator_filters.py TEXTS

TEXTS is a file of one JSON string a line. The filters are those of `heuristic_filter_english_pipeline.yaml` with its
limits, called as `ScoreFilter` calls them, without Ray or data frames around. Prints JSON: our families -> [CPU
seconds, reasons (null for keep)]; "pipeline" -> [CPU seconds, null] of all filters in the order of that file, where a
document that one has dropped is spared the rest; "tied" -> [0, "tie" for documents whose most frequent n-gram is one of
several], of which Curator takes the first in the order of a set.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from nemo_curator.stages.text.filters.heuristic.repetition import (
    RepeatedLinesByCharFilter,
    RepeatedLinesFilter,
    RepeatedParagraphsByCharFilter,
    RepeatedParagraphsFilter,
    RepeatingDuplicateNGramsFilter,
    RepeatingTopNGramsFilter,
)
from nemo_curator.stages.text.filters.heuristic.string import (
    BoilerPlateStringFilter,
    BulletsFilter,
    CommonEnglishWordsFilter,
    EllipsisFilter,
    LongWordFilter,
    MeanWordLengthFilter,
    NonAlphaNumericFilter,
    NumbersFilter,
    ParenthesesFilter,
    PunctuationFilter,
    SymbolsToWordsFilter,
    UrlsFilter,
    WhiteSpaceFilter,
    WordCountFilter,
    WordsWithoutAlphabetsFilter,
)
from nemo_curator.stages.text.modifiers.string.c4 import BoilerPlateStringModifier

TOP = ((2, 0.2), (3, 0.18), (4, 0.16))
DUPLICATE = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))


def families():
    return {
        "nemotron": [
            NonAlphaNumericFilter(0.25),
            NumbersFilter(0.15),
            UrlsFilter(0.2),
            WhiteSpaceFilter(0.25),
            ParenthesesFilter(0.1),
            BoilerPlateStringFilter(max_boilerplate_string_ratio=0.4),
            PunctuationFilter(0.85),
            LongWordFilter(1000),
        ],
        "gopher_quality": [
            SymbolsToWordsFilter(0.1),
            WordCountFilter(50, 100000),
            WordsWithoutAlphabetsFilter(0.8),
            CommonEnglishWordsFilter(2, True),
            MeanWordLengthFilter(3, 10),
            EllipsisFilter(0.3),
            BulletsFilter(0.9),
        ],
        "gopher_repetition": [
            RepeatedLinesFilter(0.7),
            RepeatedParagraphsFilter(0.7),
            RepeatedLinesByCharFilter(0.8),
            RepeatedParagraphsByCharFilter(0.8),
            *(RepeatingTopNGramsFilter(n=n, max_repeating_ngram_ratio=limit) for n, limit in TOP),
            *(RepeatingDuplicateNGramsFilter(n=n, max_repeating_duplicate_ngram_ratio=limit) for n, limit in DUPLICATE),
        ],
        "c4": [BoilerPlateStringFilter(), PunctuationFilter(), LongWordFilter(), EllipsisFilter()],
    }


ORDER = (
    *("NonAlphaNumericFilter", "SymbolsToWordsFilter", "NumbersFilter", "UrlsFilter", "WhiteSpaceFilter"),
    *("ParenthesesFilter", "BoilerPlateStringFilter", "RepeatedLinesFilter", "RepeatedParagraphsFilter"),
    *("RepeatedLinesByCharFilter", "RepeatedParagraphsByCharFilter", "WordCountFilter", "PunctuationFilter"),
    *("WordsWithoutAlphabetsFilter", "CommonEnglishWordsFilter", "MeanWordLengthFilter", "LongWordFilter"),
    *("EllipsisFilter", "RepeatingTopNGramsFilter", "RepeatingDuplicateNGramsFilter", "BulletsFilter"),
)


def keeps(chosen, text):
    try:
        return chosen.keep_document(chosen.score_document(text))
    except (ZeroDivisionError, ValueError):  # a text without words or lines
        return False


def is_tied(text):
    words = text.split()
    for n, _ in TOP:
        counts = Counter(zip(*(words[start:] for start in range(n)), strict=False)).most_common(2)
        if len(counts) == 2 and counts[0][1] == counts[1][1]:
            return True
    return False


def main() -> None:
    texts = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    result = {}
    for name, chain in families().items():
        modifier = BoilerPlateStringModifier() if name == "c4" else None
        started, said = time.process_time(), []
        for text in texts:
            failed = [type(chosen).__name__ for chosen in chain if not keeps(chosen, text)]
            said.append(failed[0] if failed else None)
            if modifier is not None:
                modifier.modify_document(text)
        result[name] = (time.process_time() - started, said)
    every = [chosen for name, chain in families().items() if name != "c4" for chosen in chain]
    every.sort(key=lambda chosen: ORDER.index(type(chosen).__name__))
    started = time.process_time()
    for text in texts:
        all(keeps(chosen, text) for chosen in every)
    result["pipeline"] = (time.process_time() - started, None)
    result["tied"] = (0, ["tie" if is_tied(text) else None for text in texts])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
