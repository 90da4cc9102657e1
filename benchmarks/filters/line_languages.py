"""How often a line is called foreign that is not, and the other way round: sentences of Tatoeba, three to a line.

    python benchmarks/line_languages.py

Reads the folder of shared data (AUTOCLAVE_DATA, or ../shared/data).
"""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard

from autoclave.cleaning.language.identification import identifier, short_code
from autoclave.cleaning.language.lines import FOREIGN, UNJUDGED, judge_lines

LARGE = {"en", "zh", "de", "fr", "es", "ru", "ja", "ar", "it", "pt", "ko", "nl", "tr", "pl", "vi", "th"}
LINES = 100
"""Lines of one language at most."""


def main() -> None:
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    data = Path(os.environ.get("AUTOCLAVE_DATA", default))
    sentences: dict[str, list[str]] = defaultdict(list)
    with zstandard.open(data / "lid_tatoeba" / "tatoeba.jsonl.zst", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
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
