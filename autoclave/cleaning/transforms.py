"""Edits of the text before it is judged: the paper's rules one to six, Unicode normalisation, and personal data.

A transform is a function on one text with a cheap pattern (RE2, run by Arrow over the whole batch) that finds the
documents it could change; only those ever become Python strings. Code, formulas and tables are left as they are (see
`protected`), but for personal data, which is redacted wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning import transforms_characters as characters
from autoclave.cleaning import transforms_markup as markup
from autoclave.cleaning import transforms_pii as pii

PAPER = "TransNormerLLM (Qin et al. 2023, arXiv:2307.14995), appendix D"

TextFunction = Callable[[str, str | None], tuple[str, int]]


@dataclass(frozen=True)
class Transform:
    """One edit.

    name: as in recipes; source: where the rule comes from; function: (text, language) -> (text, number of changes);
    default: whether it runs when a recipe names no transforms; trigger: RE2 pattern that matches at least every text
    the function would change.
    """

    name: str
    source: str
    function: TextFunction
    default: bool
    trigger: str

    def apply(self, text: pa.StringArray, language: pa.StringArray | None = None) -> tuple[pa.StringArray, np.ndarray]:
        """Return (edited text, changes as int32 [rows]); both as long as `text`, nulls staying null.

        Rows are independent of one another: the same text gives the same result in any batch.
        """
        rows = len(text)
        changes = np.zeros(rows, dtype=np.int32)
        hits = pc.match_substring_regex(text, self.trigger)
        chosen = np.flatnonzero(pc.fill_null(hits, False).to_numpy(zero_copy_only=False))
        if not len(chosen):
            return text, changes
        picked = pa.array(chosen)
        languages = [None] * len(chosen) if language is None else language.take(picked).to_pylist()
        edited: list[str] = []
        for row, old, code in zip(chosen, text.take(picked).to_pylist(), languages, strict=True):
            new, changes[row] = self.function(old, code)
            if changes[row]:
                edited.append(new)
        if not edited:
            return text, changes
        mask = pa.array(changes > 0)
        return pc.replace_with_mask(text, mask, pa.array(edited, text.type)), changes


def _register(*transforms: Transform) -> dict[str, Transform]:
    return {transform.name: transform for transform in transforms}


TRANSFORMS: dict[str, Transform] = _register(
    Transform(
        "normalise_unicode",
        "Unicode Standard Annex 15 (NFC); mojibake as ftfy describes it (Speer 2019)",
        characters.normalise_unicode,
        True,
        characters.NORMALISE_TRIGGER,
    ),
    Transform(
        "map_special_characters", f"{PAPER}, rule 4", characters.map_special_characters, True, characters.SPECIAL
    ),
    Transform("strip_html_tags", f"{PAPER}, rule 1", markup.strip_html_tags, True, markup.TAG_TRIGGER),
    Transform("strip_urls", f"{PAPER}, rule 1", markup.strip_urls, True, markup.URL_TRIGGER),
    Transform("strip_garbled", f"{PAPER}, rule 2", characters.strip_garbled, True, characters.GARBLED_TRIGGER),
    Transform(
        "collapse_punctuation", f"{PAPER}, rule 3", characters.collapse_punctuation, True, characters.RUN_TRIGGER
    ),
    # Off by default: a comma between digits is not always a thousands separator (coordinates, lists, other
    # languages' decimals), and digits are data in tables, code and identifiers that no markup protects.
    Transform(
        "standardise_numbers", f"{PAPER}, rule 5", characters.standardise_numbers, False, characters.NUMBER_TRIGGER
    ),
    Transform(
        "redact_pii",
        "FineWeb (Penedo et al. 2024): e-mail and public IP; more kinds",
        pii.redact_pii,
        True,
        pii.TRIGGER,
    ),
)
DEFAULT_TRANSFORMS: tuple[str, ...] = tuple(name for name, transform in TRANSFORMS.items() if transform.default)
