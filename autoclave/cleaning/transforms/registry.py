"""Edits of the text before it is judged: the paper's rules one to six, Unicode normalisation, and personal data.

A transform is a function on one text with a fast scan of the whole batch that finds the documents it could change;
only those are ever taken out of the Arrow buffers. Code, formulas and tables are left as they are (see
`protected`), but for personal data, which is redacted wherever it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.language import lines as line_languages
from autoclave.cleaning.language.script import string_buffers
from autoclave.cleaning.transforms import characters, interface, markup, urls
from autoclave.cleaning.transforms.personal_data.redaction import PersonalDataOptions, redact_pii
from autoclave.cleaning.transforms.personal_data.scan import kinds_of_personal_data
from autoclave.cleaning.transforms.scan import rows_with_markup, rows_with_urls
from autoclave.corpus.yaml_values import with_remedy
from autoclave.errors import RecipeError

PAPER = "TransNormerLLM (Qin et al. 2023, arXiv:2307.14995), appendix D"

TextFunction = Callable[..., tuple[bytes, int]]
Finder = Callable[[pa.StringArray], np.ndarray]


@dataclass(frozen=True)
class Transform:
    """One edit.

    name: as in recipes; source: where the rule comes from; function: (UTF-8 text, language, hint) -> (text, number of
    changes); default: whether it runs when a recipe names no transforms; find: for a batch, a hint per row that is
    not zero for at least every row that the function would change; needs_language: whether the function asks for the
    language, which is identified after the transforms that do not; raw_only: whether it edits raw markup, and so only
    texts that were never extracted from a page; options: what a recipe may set, with its defaults, which the function
    takes as `options`; None where there is nothing to set.
    """

    name: str
    source: str
    function: TextFunction
    default: bool
    find: Finder
    needs_language: bool = False
    raw_only: bool = False
    options: msgspec.Struct | None = None

    def with_options(self, given: Any, where: str) -> Transform:
        """Return the transform with the options that a recipe gives; RecipeError, beginning with `where`, for options
        that it does not have or of a wrong type."""
        if self.options is None or not isinstance(given, dict):
            known = "it has none" if self.options is None else f"they are {', '.join(self.options.__struct_fields__)}"
            raise RecipeError(f"{where}: give options as a mapping, not {given!r}; {known}")
        try:
            options = msgspec.convert(given, type(self.options))
        except msgspec.ValidationError as error:
            known = ", ".join(self.options.__struct_fields__)
            raise RecipeError(f"{where}: {with_remedy(error)}; options are {known}") from error
        return replace(self, options=options, function=partial(self.function, options=options))

    def changed_options(self) -> dict[str, Any]:
        """Return the options that are not as they are by default."""
        if self.options is None:
            return {}
        default = msgspec.to_builtins(type(self.options)())
        return {name: value for name, value in msgspec.to_builtins(self.options).items() if value != default[name]}

    def apply(
        self, text: pa.StringArray, language: pa.StringArray | None = None, extracted: np.ndarray | None = None
    ) -> tuple[pa.StringArray, np.ndarray]:
        """Return (edited text, changes as int32 [rows]); both as long as `text`, nulls staying null.

        language: code per row, null where unknown; extracted: bool [rows], which texts were extracted from pages (none
        if not given). Rows are independent of one another: the same text gives the same result in any batch.
        """
        changes = np.zeros(len(text), dtype=np.int32)
        hints = self.find(text)
        if self.raw_only and extracted is not None:
            hints = np.where(extracted, 0, hints)
        chosen = np.flatnonzero(hints)
        if not len(chosen):
            return text, changes
        data, offsets = string_buffers(text)
        view = memoryview(data.data)
        edited: list[bytes] = []
        for row in chosen.tolist():
            code = None if language is None else language[row].as_py()
            new, count = self.function(bytes(view[offsets[row] : offsets[row + 1]]), code, int(hints[row]))
            if count:
                changes[row] = count
                edited.append(new)
        if not edited:
            return text, changes
        replacements = pa.array(edited, pa.binary()).cast(text.type)
        return pc.replace_with_mask(text, pa.array(changes > 0), replacements), changes


def _register(*transforms: Transform) -> dict[str, Transform]:
    return {transform.name: transform for transform in transforms}


TRANSFORMS: dict[str, Transform] = _register(
    Transform(
        "normalise_unicode",
        "Unicode Standard Annex 15 (NFC); mojibake as ftfy describes it (Speer 2019)",
        characters.normalise_unicode,
        True,
        characters.find_unusual,
    ),
    Transform(
        "map_special_characters",
        f"{PAPER}, rule 4",
        characters.map_special_characters,
        True,
        characters.find_special,
    ),
    Transform("strip_html_tags", f"{PAPER}, rule 1", markup.strip_html_tags, True, rows_with_markup, raw_only=True),
    # Off by default: in references, configuration and "see ..." a URL is what the text says (docs/cleaning.md has how
    # often); FineWeb and C4 keep URLs, the paper and RefinedWeb remove them.
    Transform("strip_urls", f"{PAPER}, rule 1", urls.strip_urls, False, rows_with_urls),
    Transform("strip_garbled", f"{PAPER}, rule 2", characters.strip_garbled, True, characters.find_garbled),
    Transform("collapse_punctuation", f"{PAPER}, rule 3", characters.collapse_punctuation, True, characters.find_runs),
    # Off by default: a comma between digits is not always a thousands separator (coordinates, lists, other
    # languages' decimals), and digits are data in tables, code and identifiers that no markup protects.
    Transform(
        "standardise_numbers", f"{PAPER}, rule 5", characters.standardise_numbers, False, characters.find_numbers
    ),
    Transform(
        "redact_pii",
        "FineWeb (Penedo et al. 2024): e-mail and public IP; more kinds",
        redact_pii,
        True,
        kinds_of_personal_data,
        needs_language=True,
        options=PersonalDataOptions(),
    ),
    # After all other edits, so that a line is what remains of it, and before the filters, which count repeated lines.
    Transform(
        "strip_interface_lines",
        "a closed list of our own (assets/interface_lines.txt)",
        interface.strip_interface_lines,
        True,
        interface.find_interface_lines,
    ),
    # Off by default: quotations and glossaries are in other languages by intent.
    Transform(
        "strip_foreign_lines",
        "OSCAR's multilingual documents (Abadji et al. 2022), language a line",
        line_languages.strip_foreign_lines,
        False,
        line_languages.find_lines,
        needs_language=True,
    ),
)
DEFAULT_TRANSFORMS: tuple[str, ...] = tuple(name for name, transform in TRANSFORMS.items() if transform.default)
