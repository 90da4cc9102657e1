"""Choose stop words and limits of every language that lid.176 names, and show what the stop words keep of good text.

    python -m benchmarks.filters.language_limits --fineweb2 CHECKOUT [--write]

CHECKOUT: the repository huggingface/fineweb-2, whose `configs/` hold the lists and limits of FineWeb-2 (Apache-2.0).
Good text: the Universal Declaration of Human Rights, sentences of Tatoeba and Lingua, HPLT's excerpts, in documents of
about 80 words; every second one may add words, the others judge. A language keeps FineWeb-2's list where two of its
words stand in at least 95 % of the judging documents; else the most frequent words of the others join it; where that is
not enough, or nothing judges, the language has no rule on stop words. English keeps Gopher's list, Japanese
FineWeb-2's;
Chinese is judged by classical texts and poems too. `--write` makes autoclave/assets/language_limits.json.zst.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
import zstandard

from autoclave.cleaning.language.codes import ISO_639_3
from autoclave.cleaning.language.identification import LanguageIdentifier, scripts_of
from autoclave.cleaning.language.words import scans
from benchmarks.data import add_data_option, read_set

ASSET = Path(__file__).resolve().parents[2] / "autoclave" / "assets" / "language_limits.json.zst"
COMMIT = "d0defb24f193bb9a5a11b8b14524a03c4858e1b6"
KEPT = 0.95
ADDED = 40
"""Words that the first half of the texts adds to a list that keeps too little."""
DOCUMENT_WORDS = 80
DOCUMENTS = 3
"""Fewest judging documents that say anything about a list."""


def sources(data: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (source, ISO 639-3 or 639-1 code, text) of every text."""
    for row in read_set(data / "lid_udhr"):
        yield "udhr", row["lang"], row["text"]
    for row in read_set(data / "lid_tatoeba"):
        yield "tatoeba", row["lang"], row["text"]
    for row in read_set(data / "lid_lingua"):
        if row["kind"] == "sentences":
            yield "lingua", row["lang"], row["text"]
    for row in read_set(data / "web_hplt"):
        if not row.get("unnatural") and row.get("lang_correct", True):
            yield "hplt", row["lang"].split("_")[0], row["text"].replace("\n..........\n", "\n")
    for name in ("zh_classical", "zh_poetry"):
        for row in read_set(data / name):
            yield name, "zho", row["text"]


def documents(data: Path, languages: dict[str, str]) -> dict[str, list[list[str]]]:
    """Return for each language its documents, each the words of DOCUMENT_WORDS or more, sources one after the other."""
    texts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source, code, text in sources(data):
        if code in languages:
            texts[languages[code], source].append(text)
    found: dict[str, list[list[str]]] = defaultdict(list)
    for (language, _), parts in texts.items():
        words: list[str] = []
        for part in cut(parts):
            words += part
            if len(words) >= DOCUMENT_WORDS:
                found[language].append(words)
                words = []
    return found


def cut(texts: list[str]) -> Iterator[list[str]]:
    """Yield the words of each text as the default dialect counts them."""
    for scan in scans(pa.array(texts)):
        words = scan.words("script")
        data = scan.data.tobytes()
        spans = [data[start:end].decode() for start, end in zip(words.start.tolist(), words.end.tolist(), strict=True)]
        for first, last in zip(words.offsets[:-1].tolist(), words.offsets[1:].tolist(), strict=True):
            yield spans[first:last]


def kept(documents: list[list[str]], words: set[str]) -> float:
    """Return the share of documents with two different words of the list, in any case."""
    return sum(len(words & {word.lower() for word in document}) >= 2 for document in documents) / len(documents)


def published(configs: Path, language: str, identifiers: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return FineWeb-2's (name, configuration) of a language in the scripts that we take it to be written in."""
    files = [file for code in identifiers for file in sorted(configs.glob(f"{code}_*.yml"))]
    chosen = [file for file in files if file.stem.split("_")[1] in scripts_of(language)] or files
    return [(file.stem, yaml.safe_load(file.read_text(encoding="utf-8"))) for file in chosen]


def listed(configurations: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Return the words of the lists of configurations, without marks of punctuation and separators."""
    words: dict[str, None] = {}
    for _, configuration in configurations:
        for entry in configuration.get("stopwords") or ():
            for word in entry.replace("\u200b", " ").replace("\u0f0b", " ").split():
                if any(sign.isalnum() for sign in word):
                    words[word.lower()] = None
    return list(words)


def limits(configurations: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return the widest limits of the configurations by our names of the signals."""
    rows = [row for _, row in configurations]
    punctuation = min(row["line_punct_thr"] for row in rows)
    found: dict[str, Any] = {
        "mean_word_length": [
            min(row["min_avg_word_length"] for row in rows), max(row["max_avg_word_length"] for row in rows)
        ],
        "alphabetic_word_ratio": [min(row["max_non_alpha_words_ratio"] for row in rows), None],
        "line_punctuation_ratio": [punctuation, None] if punctuation > 0 else None,
        "newline_word_ratio": [None, max(row["new_line_ratio"] for row in rows)],
        "duplicate_line_ratio": [None, max(row["dup_line_frac"] for row in rows)],
    }  # fmt: skip
    for kind, name in (("top_n_grams", "top_{}gram_ratio"), ("dup_n_grams", "duplicate_{}gram_ratio")):
        for size in (pair[0] for pair in rows[0][kind]):
            found[name.format(size)] = [None, max(dict(row[kind])[size] for row in rows)]
    return found


ISO_CODES = {"als": ["gsw"]}
"""ISO 639-3 codes of Wikipedia's codes that mean another language there."""
GIVEN = ("en", "ja")
"""Languages whose list is the published one, whatever the texts say."""
GOPHER = ["the", "be", "to", "of", "and", "that", "have", "with"]
"""Rae et al. 2021, arXiv 2112.11446, appendix A.1.1."""


def choose(words: list[str], texts: list[list[str]]) -> tuple[str, list[str], float | None, float | None]:
    """Return (which list, its words, share kept with the published list, share kept with the chosen one)."""
    adding, judging = texts[::2], texts[1::2]
    if len(judging) < DOCUMENTS:
        return "none", [], None, None
    before = kept(judging, set(words)) if words else None
    if before is not None and before >= KEPT:
        return "published", words, before, before
    frequent = Counter(word.lower() for document in adding for word in set(document) if word.isalpha() or len(word) > 1)
    more = [word for word, _ in frequent.most_common(ADDED) if any(sign.isalpha() for sign in word)]
    longer = list(dict.fromkeys([*words, *more]))
    after = kept(judging, set(longer))
    if after >= KEPT:
        return ("published and counted" if words else "counted"), longer, before, after
    return "none", [], before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--fineweb2", type=Path, required=True, help="checkout of huggingface/fineweb-2")
    parser.add_argument("--write", action="store_true", help="write the asset")
    arguments = parser.parse_args()
    languages = sorted(LanguageIdentifier().languages)
    codes = {language: [code for code, short in ISO_639_3.items() if short == language] for language in languages}
    texts = documents(
        arguments.data, {code: language for language in languages for code in [language, *codes[language]]}
    )
    table: dict[str, Any] = {}
    print(
        "| language | list | words | kept with FineWeb-2's | kept | documents |\n| --- | --- | --- | --- | --- | --- |"
    )
    for language in languages:
        found = published(
            arguments.fineweb2 / "configs", language, ISO_CODES.get(language) or codes[language] or [language]
        )
        words = GOPHER if language == "en" else listed(found)
        kind, chosen, before, after = choose(words, texts.get(language, []))
        if language in GIVEN:
            kind, chosen, after = "published", words, before
        table[language] = {"configurations": [name for name, _ in found], "published": words, "stop_words": chosen}
        if found:
            table[language]["limits"] = limits(found)
        shown = ["" if share is None else f"{share:.1%}" for share in (before, after)]
        print(
            f"| {language} | {kind} | {len(chosen)} | {shown[0]} | {shown[1]} | {len(texts.get(language, [])) // 2} |"
        )
    if arguments.write:
        content = json.dumps({"commit": COMMIT, "languages": table}, ensure_ascii=False, sort_keys=True, indent=1)
        ASSET.write_bytes(zstandard.ZstdCompressor(level=19).compress(content.encode()))
        print(f"{ASSET}: {ASSET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
