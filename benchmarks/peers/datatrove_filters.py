"""datatrove's filters over every document, run by the Python of its own environment (one core).

    PYTHON benchmarks/peers/datatrove_filters.py TEXTS

TEXTS is a file of one JSON string a line. Prints JSON: our families -> [CPU seconds, reasons (null for keep)].
"""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.text import split_into_words

FILTERS = {
    "gopher_repetition": GopherRepetitionFilter,
    "gopher_quality": GopherQualityFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}


def main() -> None:
    texts = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    split_into_words("start the tokenizer")
    result = {}
    for name, kind in FILTERS.items():
        chosen, said, started = kind(), [], time.process_time()
        for text in texts:
            try:
                verdict = chosen.filter(Document(text=text, id=""))
            except ZeroDivisionError:
                verdict = (False, "division by zero")
            said.append(None if verdict is True else verdict[1] if isinstance(verdict, tuple) else "dropped")
        result[name] = (time.process_time() - started, said)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
