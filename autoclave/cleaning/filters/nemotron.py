"""The further heuristics of NeMo Curator's English pipeline, which Nemotron-CC uses beside Gopher's rules."""

from __future__ import annotations

import numpy as np

from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement, ratio
from autoclave.cleaning.filters.text_statistics import character_columns
from autoclave.cleaning.language.words import Scan, Segments
from autoclave.kernels.text.rules import character_counts, counts, segments
from autoclave.kernels.text.rules.search import phrase_tables, phrases_in_segments

CURATOR_SOURCE = "NeMo Curator 26.07, heuristic_filter_english_pipeline.yaml"
SOURCE = f"{CURATOR_SOURCE}; Su et al. 2024, arXiv 2412.02595"

LOREM_IPSUM = b"lorem ipsum"
BOILERPLATE = (
    b"terms of use",
    b"privacy policy",
    b"cookie policy",
    b"uses cookies",
    b"privacy overview",
    b"use of cookies",
    b"use cookies",
    b"privacy & cookies policy",
    b"privacy and cookies policy",
    b"necessary cookies are absolutely essential for the website to function properly. this category only includes "
    b"cookies that ensures basic functionalities and security features of the website. these cookies do not store any "
    b"personal information.",
    b"any cookies that may not be particularly necessary for the website to function and is used specifically to "
    b"collect user personal data via analytics, ads, other embedded contents are termed as non-necessary cookies. it "
    b"is mandatory to procure user consent prior to running these cookies on your website.",
    b"if you continue to browse this site without changing your cookie settings, you agree to this use. acceptread "
    b"more",
)
"""Curator's policy strings; those that contain another one are left out."""


_BOILERPLATE, _LOREM = 1, 2
_PHRASES = phrase_tables([(LOREM_IPSUM, _LOREM), *((phrase, _BOILERPLATE) for phrase in BOILERPLATE)])


def marked_paragraphs(scan: Scan) -> tuple[Segments, np.ndarray, np.ndarray]:
    """Return (paragraphs, which of them have a policy string, which have 'lorem ipsum'), bool a paragraph."""

    def compute() -> tuple[Segments, np.ndarray, np.ndarray]:
        paragraphs = scan.segments(segments.PARAGRAPHS)
        phrases = scan.empty(len(paragraphs.start), np.int32)
        phrases_in_segments(scan.data, paragraphs.spans, _PHRASES, phrases)
        return paragraphs, (phrases & _BOILERPLATE) != 0, (phrases & _LOREM) != 0

    return scan.once("marked_paragraphs", compute)


def unpunctuated_line_ratio(scan: Scan) -> np.ndarray:
    """Return the share of lines that do not end in one of .?!"', float32 a document."""
    lines = scan.segments(segments.LINES, drop_blank=True)
    count = np.diff(lines.offsets)
    return ratio(count - lines.flagged(segments.MARK_END), count)


def longest_words(scan: Scan) -> np.ndarray:
    """Return the characters of the longest word between white space, int32 a document."""

    def compute() -> np.ndarray:
        longest = np.empty(len(scan), dtype=np.int64)
        counts.longest_words(scan.texts, scan.classes, longest)
        return longest.astype(np.int32)

    return scan.once("longest_words", compute)


_OF_CHARACTERS = {
    "non_alphanumeric_ratio": character_counts.CURATOR_ALNUM,
    "numbers_ratio": character_counts.DIGITS,
    "url_ratio": character_counts.URL_CHARS,
    "white_space_ratio": character_counts.CURATOR_SPACE,
    "bracket_ratio": character_counts.BRACKETS,
}
"""Shares of a text's characters, and what is counted for each; of the first it is the rest."""


def _measure(scan: Scan, measurement: Measurement) -> Columns:
    found = character_columns(scan).counts
    parts, chars = found[:, list(_OF_CHARACTERS.values())], found[:, character_counts.CHARS]
    parts[:, 0] = chars - parts[:, 0]
    shares = ratio(parts, chars, empty=1.0)
    paragraphs, boilerplate, lorem = marked_paragraphs(scan)
    share = ratio(paragraphs.sums(boilerplate), np.diff(paragraphs.offsets))
    return {
        **{name: shares[:, column] for column, name in enumerate(_OF_CHARACTERS)},
        "boilerplate_paragraph_ratio": np.where(paragraphs.sums(lorem) > 0, np.float32(1), share),
        "unpunctuated_line_ratio": unpunctuated_line_ratio(scan),
        "longest_word": longest_words(scan),
    }


FILTERS = {
    "curator": Filter(
        "nemotron",
        SOURCE,
        (
            Bound("non_alphanumeric_ratio", high=0.25),
            Bound("numbers_ratio", high=0.15),
            Bound("url_ratio", high=0.2),
            Bound("white_space_ratio", high=0.25),
            Bound("bracket_ratio", high=0.1),
            Bound("boilerplate_paragraph_ratio", high=0.4),
            Bound("unpunctuated_line_ratio", high=0.85),
            Bound("longest_word", high=1000),
        ),
        _measure,
        dialect="curator",
        languages=("en",),
    )
}
"""English only: 'alphanumeric' means ASCII here, and spaces count as neither, as in the original."""
