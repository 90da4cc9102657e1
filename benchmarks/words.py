"""Cut real Thai, Lao and Khmer text into words, beside ICU and PyThaiNLP: agreement of the cuts, and speed.

    python benchmarks/words.py --peer /path/to/other/venv/bin/python

The peers (`pip install icu4py==1.2.0 pythainlp==5.1.2`) run in an environment of their own. Text: the Universal
Declaration of Human Rights and web excerpts of HPLT in the folder of shared data (AUTOCLAVE_DATA, or ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import zstandard

from autoclave.cleaning.words import scans

SCRIPTS = {"th": (0xE01, 0xE4E), "lo": (0xE81, 0xEFF), "km": (0x1780, 0x17D3)}
PEER = """
import json, sys, time
from icu4py.breakers import WordBreaker
from pythainlp.tokenize import word_tokenize
word_tokenize("ภาษาไทย", engine="newmm")
for line in sys.stdin:
    language, text = json.loads(line)
    begin = time.perf_counter()
    found = {"ICU": [str(word) for word in WordBreaker(text, language)]}
    spent = {"ICU": time.perf_counter() - begin}
    if language == "th":
        begin = time.perf_counter()
        found["newmm"] = word_tokenize(text, engine="newmm", keep_whitespace=True)
        spent["newmm"] = time.perf_counter() - begin
    print(json.dumps([found, spent]))
"""


def documents(data: Path) -> list[tuple[str, str]]:
    """Return (language, text) of what has more than 20 letters of one of the scripts."""
    found = []
    for name in ("lid_udhr/udhr.jsonl.zst", "web_hplt/unlabelled.jsonl.zst"):
        with zstandard.open(data / name, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                text = text if isinstance(text, str) else "\n".join(text)
                for language, (first, last) in SCRIPTS.items():
                    if sum(first <= ord(letter) <= last for letter in text) > 20:
                        found.append((language, text))
    return found


def our_cuts(text: str) -> set[int]:
    scan = next(scans(pa.array([text])))
    words, data = scan.words("script"), scan.data.tobytes()
    return {len(data[:at].decode()) for places in (words.start, words.end) for at in places.tolist()}


def peer_cuts(words: list[str]) -> set[int]:
    places = [0]
    for word in words:
        places.append(places[-1] + len(word))
    return set(places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", required=True, help="the Python that has icu4py and pythainlp")
    chosen = parser.parse_args()
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    texts = documents(Path(os.environ.get("AUTOCLAVE_DATA", default)))
    sent = "\n".join(json.dumps(pair) for pair in texts)
    peer = subprocess.run([chosen.peer, "-c", PEER], input=sent, capture_output=True, text=True, check=True)
    totals: dict[tuple[str, str], list[int]] = {}
    seconds: dict[tuple[str, str], float] = {}
    for (language, text), line in zip(texts, peer.stdout.splitlines(), strict=True):
        first, last = SCRIPTS[language]
        letters = [first <= ord(letter) <= last for letter in text]
        inner = {at for at in range(1, len(text)) if letters[at - 1] and letters[at]}
        ours = our_cuts(text) & inner
        found, spent = json.loads(line)
        for name, words in found.items():
            theirs = peer_cuts(words) & inner
            total = totals.setdefault((language, name), [0, 0, 0])
            for place, count in enumerate((len(ours & theirs), len(ours), len(theirs))):
                total[place] += count
            seconds[language, name] = seconds.get((language, name), 0) + spent[name]
    for (language, name), (shared, ours_count, theirs_count) in sorted(totals.items()):
        column = pa.array([text for code, text in texts if code == language] * 20)
        size = sum(len(text.encode()) for code, text in texts if code == language)
        runs = []
        for _ in range(5):
            begin = time.perf_counter()
            for scan in scans(column):
                scan.words("script")
            runs.append(20 * size / (time.perf_counter() - begin) / 1e6)
        print(
            f"{language} {name}: boundary F1 {2 * shared / (ours_count + theirs_count):.3f} (precision "
            f"{shared / ours_count:.3f}, recall {shared / theirs_count:.3f}, {theirs_count:,} cuts); ours "
            f"{sorted(runs)[2]:.1f} MB/s, {name} {size / seconds[language, name] / 1e6:.2f} MB/s"
        )


if __name__ == "__main__":
    main()
