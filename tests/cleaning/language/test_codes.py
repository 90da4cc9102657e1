"""Codes of languages as data sets declare them, and as the shipped model gives them."""

from __future__ import annotations

import pytest

from autoclave.cleaning.language.codes import declared_code
from autoclave.cleaning.language.identification import LanguageIdentifier
from autoclave.cleaning.language.limits import language_entries

DECLARED = {
    "en": ["en", "EN", "eng", "eng_Latn", "__label__eng_Latn", "en-US", "en_GB.UTF-8", " en "],
    "zh": ["zh", "zh-CN", "zh_TW", "zh-Hant-TW", "zho", "cmn_Hans", "chi", "zho_Hans"],
    "pt": ["pt_BR", "por"],
    "de": ["ger", "deu", "de_AT@euro"],
    "no": ["no", "nb", "nb-NO", "nob", "NOR"],
    "he": ["iw", "heb"],
    "sr": ["sr-Latn-RS"],
    "ceb": ["ceb"],
    "und": ["und"],
    "english": ["English"],
    None: [
        None, "", "  ", "x", "x-klingon", "not a language", "en, fr", "unknown", "mul", "12", "en" * 20, "\u4e2d\u6587",
        "en;q=0.8", "{'en': 1}", "\0en",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("code", "declared"), [(code, one) for code, many in DECLARED.items() for one in many])
def test_a_declared_language_is_named_as_everywhere_else(code: str | None, declared: str | None) -> None:
    assert declared_code(declared) == code


def test_the_codes_of_the_shipped_model_are_known_and_short() -> None:
    codes = LanguageIdentifier().languages
    assert set(codes) <= set(language_entries())
    # Wikipedia's code of Alemannic is Albanian's in ISO 639-3, which is what people declare by it.
    assert [code for code in codes if declared_code(code) != code] == ["als"]
