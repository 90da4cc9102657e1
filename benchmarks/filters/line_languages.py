"""How often a line is called foreign that is not, and the other way round: sentences of Tatoeba, three to a line.

    python -m benchmarks.filters.line_languages

Each line is given to a document in its own language, then to one in another.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict

import numpy as np
import pyarrow as pa

from autoclave.cleaning.language.codes import short_code
from autoclave.cleaning.language.identification import identifier
from autoclave.cleaning.language.lines import FOREIGN, UNJUDGED, judge_lines
from benchmarks.data import add_data_option, read_rows

LARGE = {"en", "zh", "de", "fr", "es", "ru", "ja", "ar", "it", "pt", "ko", "nl", "tr", "pl", "vi", "th"}
LINES = 100
"""Lines of one language at most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_option(parser)
    arguments = parser.parse_args()
    sentences: dict[str, list[str]] = defaultdict(list)
    for row in read_rows(arguments.data / "lid_tatoeba" / "tatoeba.jsonl.zst"):
        sentences[short_code(row["lang"])].append(row["text"])
    known = set(identifier().languages)
    codes = sorted(code for code in sentences if code in known)
    chance = random.Random(0)
    text, own, other = [], [], []
    for code in codes:
        chance.shuffle(sentences[code])
        for at in range(0, min(len(sentences[code]), 3 * LINES) - 2, 3):
            text.append(" ".join(sentences[code][at : at + 3]))
            own.append(code)
            other.append(chance.choice([choice for choice in codes if choice != code]))
    column = pa.array(text)
    for name, languages in (("own", own), ("another", other)):
        verdict = judge_lines(column, languages)
        judged = verdict != UNJUDGED
        print(
            f"lines given to a document in {name} language: {len(text):,}, judged {judged.mean():.1%}, called foreign "
            f"{(verdict[judged] == FOREIGN).mean():.2%} of those, {(verdict == FOREIGN).mean():.2%} of all"
        )
        large = np.array([code in LARGE for code in languages])
        print(
            f"  16 large languages: judged {judged[large].mean():.1%}, foreign {(verdict[large] == FOREIGN).mean():.2%}"
        )


if __name__ == "__main__":
    main()
