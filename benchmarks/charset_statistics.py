"""Make autoclave/assets/charset_statistics.npz: how frequent each letter is after each, in the languages that are
written in legacy encodings.

    python -m benchmarks.charset_statistics

Text: Tatoeba (CC BY 2.0 FR), the sentences of Lingua's test data (Leipzig Corpora, CC BY) and HPLT's excerpts (CC0), in
AUTOCLAVE_DATA or ../shared/data. The declarations of human rights are left out: `benchmarks.charset` tests on them.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from autoclave.corpus.encoding.letters import BOUNDARY, code_points, letters
from benchmarks.data import DATA, read_rows

# language -> its names in Lingua, Tatoeba and HPLT
LANGUAGES = {
    "en": "en eng eng_Latn",
    "fr": "fr fra fra_Latn",
    "de": "de deu deu_Latn",
    "es": "es spa spa_Latn",
    "pt": "pt por por_Latn",
    "it": "it ita ita_Latn",
    "nl": "nl nld nld_Latn",
    "sv": "sv swe swe_Latn",
    "da": "da dan dan_Latn",
    "nb": "nb nob nob_Latn",
    "nn": "nn nno nno_Latn",
    "fi": "fi fin fin_Latn",
    "is": "is isl isl_Latn",
    "fo": "- fao fao_Latn",
    "ca": "ca cat cat_Latn",
    "gl": "- glg glg_Latn",
    "eu": "eu eus eus_Latn",
    "ast": "- ast ast_Latn",
    "oc": "- oci oci_Latn",
    "br": "- bre -",
    "ga": "ga gle gle_Latn",
    "gd": "- gla gla_Latn",
    "cy": "cy cym cym_Latn",
    "af": "af afr afr_Latn",
    "lb": "- - ltz_Latn",
    "pl": "pl pol pol_Latn",
    "cs": "cs ces ces_Latn",
    "sk": "sk slk slk_Latn",
    "hu": "hu hun hun_Latn",
    "ro": "ro ron ron_Latn",
    "sl": "sl slv slv_Latn",
    "hr": "hr hrv hrv_Latn",
    "bs": "bs bos bos_Latn",
    "sq": "sq sqi als_Latn",
    "lv": "lv lvs lvs_Latn",
    "lt": "lt lit lit_Latn",
    "et": "et est est_Latn",
    "tr": "tr tur tur_Latn",
    "az": "az aze azj_Latn",
    "mt": "- - mlt_Latn",
    "eo": "eo epo epo_Latn",
    "vi": "vi vie vie_Latn",
    "ru": "ru rus rus_Cyrl",
    "uk": "uk ukr ukr_Cyrl",
    "be": "be bel bel_Cyrl",
    "bg": "bg bul bul_Cyrl",
    "sr": "sr srp srp_Cyrl",
    "mk": "mk mkd mkd_Cyrl",
    "kk": "kk kaz kaz_Cyrl",
    "mn": "mn mon khk_Cyrl",
    "tg": "- - tgk_Cyrl",
    "el": "el ell ell_Grek",
    "he": "he heb heb_Hebr",
    "yi": "- yid ydd_Hebr",
    "ar": "ar ara ara_Arab",
    "fa": "fa pes pes_Arab",
    "ur": "ur urd urd_Arab",
    "th": "th tha tha_Thai",
    "zh": "zh cmn zho_Hans",
    "zh-Hant": "- - zho_Hant yue_Hant",
    "ja": "ja jpn jpn_Jpan",
    "ko": "ko kor kor_Hang",
}
LIMIT = 1_000_000  # characters of a language
STEPS = 8  # cost is stored in eighths of a bit
UNSEEN_PAIR = 0.2  # the share of a pair's probability that its second letter has by itself
ASSET = Path(__file__).resolve().parents[1] / "autoclave/assets/charset_statistics.npz"


def texts_of(names: str, rows: dict[str, list[str]]) -> str:
    return "\n".join(text for name in names.split() for text in rows.get(name, []))[:LIMIT]


def gather() -> dict[str, list[str]]:
    """Return the texts by the set's own name of their language."""
    rows: dict[str, list[str]] = {}
    for row in read_rows(DATA / "lid_lingua/lingua_testdata.jsonl.zst"):
        if row["kind"] == "sentences":
            rows.setdefault(row["lang"], []).append(row["text"])
    for name in ("lid_tatoeba/tatoeba.jsonl.zst", "web_hplt/labelled.jsonl.zst", "web_hplt/unlabelled.jsonl.zst"):
        for row in read_rows(DATA / name):
            rows.setdefault(row["lang"], []).append(row["text"])
    return rows


def count(text: str) -> tuple[Counter[int], Counter[tuple[int, int]]]:
    """Count letters, with BOUNDARY, and pairs of them in a text."""
    tokens = letters().token[code_points(text)].tolist()
    return Counter(tokens), Counter(pairwise(tokens))


def costs(singles: Counter[int], pairs: Counter[tuple[int, int]]) -> tuple[dict[int, float], dict[int, float]]:
    """Bits of each letter by itself, and after each other where one is beyond ASCII (key: before << 16 | letter)."""
    total = sum(singles.values()) + 0.3 * len(singles)
    alone = {token: (number + 0.3) / total for token, number in singles.items()}
    after: dict[int, float] = {}
    for (before, token), number in pairs.items():
        if max(before, token) < 128 or (before == BOUNDARY and token == BOUNDARY) or max(before, token) >= 0x3040:
            continue
        share = (1 - UNSEEN_PAIR) * number / singles[before] + UNSEEN_PAIR * alone[token]
        after[before << 16 | token] = -math.log2(share)
    return {token: -math.log2(share) for token, share in alone.items()}, after


def table(found: list[dict[int, float]], keys: np.ndarray, absent: int) -> np.ndarray:
    """Costs of all languages: (keys, languages) uint8 in steps, `absent` where a language has none."""
    out = np.full((len(keys), len(found)), absent, np.uint8)
    at = {key: row for row, key in enumerate(keys.tolist())}
    for column, costs_of_language in enumerate(found):
        for key, bits in costs_of_language.items():
            if key in at:
                out[at[key], column] = min(round(bits * STEPS), 254)
    return out


def main() -> None:
    rows = gather()
    found = []
    for language, names in LANGUAGES.items():
        singles, pairs = count(texts_of(names, rows))
        # What stands once or twice in a language is a foreign name or a slip.
        least = 1 if language in ("zh", "zh-Hant", "ja", "ko") else 3
        singles = Counter({token: number for token, number in singles.items() if number >= least})
        pairs = Counter({pair: number for pair, number in pairs.items() if number > 1 and set(pair) <= set(singles)})
        found.append(costs(singles, pairs))
        print(f"{language}: {sum(singles.values()):,} characters, {len(singles):,} letters, {len(pairs):,} pairs")
    tokens = np.array(sorted({token for alone, _ in found for token in alone}), np.uint16)
    keys = np.array(sorted({key for _, after in found for key in after}), np.uint32)
    np.savez_compressed(
        ASSET,
        languages=np.array(list(LANGUAGES)),
        letters=tokens,
        alone=table([alone for alone, _ in found], tokens, 255),
        pairs=keys,
        after=table([after for _, after in found], keys, 255),
    )
    print(f"{len(tokens):,} letters, {len(keys):,} pairs, {ASSET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
