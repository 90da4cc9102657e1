"""Cut real Thai, Lao, Khmer and Japanese text into words, beside ICU, PyThaiNLP and MeCab: agreement, and speed.

    python -m benchmarks.filters.words --peer /path/to/other/venv/bin/python

The peers (`pip install icu4py==1.2.0 pythainlp==5.1.2 fugashi==1.5.2 ipadic==1.0.0`) run in an environment of their
own. Text: the Universal Declaration of Human Rights, web excerpts of HPLT and web pages of the labelled sets. A text is
Japanese where a fifth of it is kana.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import pyarrow as pa

from autoclave.cleaning.language.words import scans
from benchmarks.data import add_data_option, read_rows

SCRIPTS = {"th": ((0xE01, 0xE4E),), "lo": ((0xE81, 0xEFF),), "km": ((0x1780, 0x17D3),)}
KANA = ((0x3041, 0x3096), (0x30A1, 0x30FA), (0x30FC, 0x30FE))
JAPANESE = (*KANA, (0x3005, 0x3005), (0x4E00, 0x9FFF))
PEER = """
import json, sys, time
from icu4py.breakers import WordBreaker
from pythainlp.tokenize import word_tokenize
import fugashi, ipadic
word_tokenize("ภาษาไทย", engine="newmm")
mecab = fugashi.GenericTagger(ipadic.MECAB_ARGS)

def mecab_words(text):
    found, at = [], 0
    for node in mecab.parseToNodeList(text):
        begin = text.index(node.surface, at)
        found += ([text[at:begin]] if begin > at else []) + [node.surface]
        at = begin + len(node.surface)
    return found + [text[at:]]

for line in sys.stdin:
    language, text = json.loads(line)
    begin = time.perf_counter()
    found = {"ICU": [str(word) for word in WordBreaker(text, language)]}
    spent = {"ICU": time.perf_counter() - begin}
    if language == "th":
        begin = time.perf_counter()
        found["newmm"] = word_tokenize(text, engine="newmm", keep_whitespace=True)
        spent["newmm"] = time.perf_counter() - begin
    if language == "ja":
        begin = time.perf_counter()
        found["MeCab"] = mecab_words(text)
        spent["MeCab"] = time.perf_counter() - begin
    print(json.dumps([found, spent]))
"""


def within(letter: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(letter) <= last for first, last in ranges)


def documents(data: Path) -> list[tuple[str, str]]:
    """Return (language, text) of what has more than 20 letters of one of the scripts, or is Japanese."""
    found = []
    for name in ("lid_udhr/udhr.jsonl.zst", "web_hplt/unlabelled.jsonl.zst", "web_registers/docs.jsonl.zst"):
        for row in read_rows(data / name):
            text = row["text"] if isinstance(row["text"], str) else "\n".join(row["text"])
            counts = {code: sum(within(letter, ranges) for letter in text) for code, ranges in SCRIPTS.items()}
            found += [(language, text) for language, count in counts.items() if count > 20]
            if 5 * sum(within(letter, KANA) for letter in text) > len(text):
                found.append(("ja", text))
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="the Python that has icu4py and pythainlp")
    add_data_option(parser)
    chosen = parser.parse_args()
    texts = documents(chosen.data)
    sent = "\n".join(json.dumps(pair) for pair in texts)
    peer = subprocess.run([chosen.peer, "-c", PEER], input=sent, capture_output=True, text=True, check=True)
    totals: dict[tuple[str, str], list[int]] = {}
    between: dict[tuple[str, str], list[int]] = {}
    seconds: dict[tuple[str, str], float] = {}
    for (language, text), line in zip(texts, peer.stdout.splitlines(), strict=True):
        letters = [within(letter, SCRIPTS.get(language, JAPANESE)) for letter in text]
        inner = {at for at in range(1, len(text)) if letters[at - 1] and letters[at]}
        ours = our_cuts(text) & inner
        found, spent = json.loads(line)
        cuts = {name: peer_cuts(words) & inner for name, words in found.items()}
        if len(cuts) == 2:
            one, other = cuts.values()
            total = between.setdefault((language, " and ".join(cuts)), [0, 0])
            total[0] += 2 * len(one & other)
            total[1] += len(one) + len(other)
        for name, theirs in cuts.items():
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
    for (language, names), (twice, cuts_of_both) in between.items():
        print(f"{language} {names}: boundary F1 {twice / cuts_of_both:.3f} between themselves")


if __name__ == "__main__":
    main()
