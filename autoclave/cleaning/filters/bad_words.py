"""C4's rule on words of the 'List of Dirty, Naughty, Obscene or Otherwise Bad Words', in the 28 languages of the list.

C4 (English) and mC4 drop every page with such a word. The rule also takes out medicine, law, sex education and the
speech of minorities (Dodge et al. 2021, arXiv 2104.08758, section 5.3), so it is in no chain unless a recipe names it.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from importlib.resources import files

import numpy as np
import zstandard

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement
from autoclave.cleaning.language.words import Scan
from autoclave.kernels.text.rules import listed_words
from autoclave.kernels.text.rules.listed_words import Beginnings, Lists

SOURCE = (
    "Raffel et al. 2020, arXiv 1910.10683, section 2.2; c4_utils.py of TensorFlow Datasets; datatrove 0.10 "
    "C4BadWordsFilter; Dolma 1.2 taggers/c4.py; lists: LDNOOBW at 5faf2ba"
)

INSIDE_WORDS = ("ja", "th", "zh")
"""Languages in which an entry may stand between letters, as in C4: they put no spaces between words."""

ALLOWED = ("sm", "グロ", "女の子", "性")
"""Entries that C4 leaves out: parts of harmless words, each on more than a tenth of the pages of its language."""

ALIASES = {"tl": "fil", "nb": "no"}
"""Codes of language identification that have a list under another name."""


@functools.cache
def word_lists() -> dict[str, tuple[str, ...]]:
    """Return the entries of assets/bad_words.txt.zst by language, as the lists have them."""
    packed = files("autoclave").joinpath("assets/bad_words.txt.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().decompress(packed).decode().splitlines()
    return {code: tuple(words) for code, *words in (line.split("\t") for line in lines)}


_CODES = "ar cs da de en eo es fa fi fil fr fr-CA-u-sd-caqc hi hu it ja kab ko nl no pl pt ru sv th tlh tr zh"
LANGUAGES = (*_CODES.split(), *ALIASES)
"""Codes of the languages that have a list; documents in others have no signal and are kept."""


@functools.cache
def _tables(as_written: bool) -> tuple[Lists, Beginnings]:
    lists = [
        [word if as_written else word.lower() for word in words if word not in ALLOWED]
        for words in word_lists().values()
    ]
    return listed_words.list_tables(lists), listed_words.beginning_tables(lists)


def _measure(scan: Scan, measurement: Measurement, as_written: bool) -> Columns:
    codes = list(word_lists())
    numbers = {code: number for number, code in enumerate(codes)}
    numbers |= {alias: numbers[code] for alias, code in ALIASES.items()}
    chosen = np.array([numbers.get(code or "en", -1) for code in measurement.languages], dtype=np.int32)
    inside = np.array([code in INSIDE_WORDS for code in codes])
    out = np.empty(len(scan), dtype=np.int32)
    listed_words.count_listed(scan.texts, chosen, *_tables(as_written), inside, scan.classes, out)
    return {"bad_words": out}


@functools.cache
def _dolma_tables() -> tuple[Lists, Lists, Beginnings]:
    """Return the tables of the English list: of its single words, and of its phrases."""
    english = word_lists()["en"]
    phrases = [[word for word in english if " " in word]]
    words = [[word for word in english if " " not in word]]
    return listed_words.list_tables(words), listed_words.list_tables(phrases), listed_words.beginning_tables(phrases)


def _measure_dolma(scan: Scan, measurement: Measurement) -> Columns:
    whole, phrases, beginnings = _dolma_tables()
    found, inside = np.empty(len(scan), dtype=np.int32), np.empty(len(scan), dtype=np.int32)
    listed_words.count_equal(scan.data, scan.words("whitespace"), whole, 0, found)
    english, anywhere = np.zeros(len(scan), dtype=np.int32), np.ones(1, dtype=np.bool_)
    listed_words.count_listed(scan.texts, english, phrases, beginnings, anywhere, scan.classes, inside)
    return {"bad_words": found + inside}


_PAPER = Filter(
    "bad_words",
    SOURCE,
    (Bound("bad_words", high=0),),
    functools.partial(_measure, as_written=False),
    dialect="paper",
    languages=LANGUAGES,
)

FILTERS = {
    "paper": _PAPER,
    "datatrove": replace(_PAPER, dialect="datatrove", measure=functools.partial(_measure, as_written=True)),
    "dolma": replace(_PAPER, dialect="dolma", measure=_measure_dolma, languages=("en",)),
}
"""The text is lower-cased. The code (C4's and datatrove's) leaves the lists as they are, so that an entry with a
capital (nearly all of the Spanish list) never matches; in the paper's reading the lists are lower-cased too. Dolma has
the English list alone: an entry of one word counts where it stands between white space, one of several anywhere."""
