"""Filters by name: the built-in families, and `module:object` for a filter of your own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from autoclave.cleaning.dialects import DEFAULT_DIALECT, check_dialect
from autoclave.cleaning.filters.base import Filter
from autoclave.errors import RecipeError

MODULES = {
    "prose": "autoclave.cleaning.filters.prose",
    "gopher_quality": "autoclave.cleaning.filters.gopher_quality",
    "gopher_repetition": "autoclave.cleaning.filters.gopher_repetition",
    "c4": "autoclave.cleaning.filters.c4",
    "fineweb": "autoclave.cleaning.filters.fineweb",
    "refinedweb": "autoclave.cleaning.filters.refinedweb",
    "nemotron": "autoclave.cleaning.filters.nemotron",
    "bad_words": "autoclave.cleaning.filters.bad_words",
    "text_statistics": "autoclave.cleaning.filters.text_statistics",
}
MODEL_MODULES = {
    "line_languages": "autoclave.cleaning.filters.line_languages",
    "perplexity": "autoclave.cleaning.ngram_model.perplexity_filter",
    "quality_classifier": "autoclave.cleaning.classifier.quality",
    "decontamination": "autoclave.cleaning.decontamination.spans",
}
"""Families that read a model or an index: lid.176, or the user's, named in their options."""

_BUILT_IN = MODULES | MODEL_MODULES
"""Where each built-in family lives: a module with FILTERS (dialect -> Filter) and, for a family with rules of its own
besides bounds, `build(dialect, rules, where)`."""


def dialects_of(name: str) -> list[str]:
    """Return the dialects of a built-in family; RecipeError for an unknown name."""
    return list(_module(name, name).FILTERS)


def resolve_dialect(name: str, wanted: str | None, chain: str, where: str) -> str | None:
    """Return the dialect that a filter is read in; None for 'module:object', which has none.

    name: the filter; wanted: what the recipe says for it, None for nothing; chain: the dialect of the chain. A family
    that has not been published in the chain's dialect is read in the default one, or in the only one that it has.
    Raises RecipeError where there is no such family, or it does not have the wanted dialect.
    """
    if ":" in name:
        return None
    known = _module(name, where).FILTERS
    if wanted is not None:
        return check_dialect(wanted, known, f"{where}.{name}.dialect")
    return next((dialect for dialect in (chain, DEFAULT_DIALECT) if dialect in known), next(iter(known)))


def _module(name: str, where: str) -> Any:
    if name not in _BUILT_IN:
        raise RecipeError(
            f"{where}: no filter '{name}'; there are {', '.join(_BUILT_IN)}, and your own as 'module:object'"
        )
    return importlib.import_module(_BUILT_IN[name])


def load_filter(name: str, options: Mapping[str, Any] | None, dialect: str, where: str) -> Filter:
    """Return a filter as a recipe names it.

    name: a family, or 'module:object' naming a `Filter`; options: `dialect`, `languages`, `rewrite` (of a filter that
    edits), rules of the family, and bounds as signal: [low, high]; dialect: the chain's (`resolve_dialect`).
    Raises RecipeError for names and options that do not exist.
    """
    given = dict(options or {})
    languages, rewrite = given.pop("languages", ()), given.pop("rewrite", None)
    if ":" in name:
        chosen = _load_object(name, where)
    else:
        module = _module(name, where)
        wanted = resolve_dialect(name, given.pop("dialect", None), dialect, where)
        chosen = module.FILTERS[wanted]
        if hasattr(module, "build"):
            names = {field.name for field in msgspec.structs.fields(module.RULES[wanted])}
            rules = {key: given.pop(key) for key in list(given) if key in names}
            if rules or languages != ():
                chosen = module.build(wanted, rules, languages, f"{where}.{name}")
    if languages != ():
        if languages is not None and not (isinstance(languages, list) and all(isinstance(c, str) for c in languages)):
            raise RecipeError(f"{where}.{name}.languages: give a list of language codes, or null for all")
        chosen = replace(chosen, languages=None if languages is None else tuple(languages))
    if rewrite is not None:
        if chosen.edit is None or not isinstance(rewrite, bool):
            raise RecipeError(f"{where}.{name}.rewrite: true or false, for a filter that edits text")
        chosen = replace(chosen, rewrites=rewrite)
    return chosen.with_bounds(given, f"{where}.{name}") if given else chosen


def _load_object(name: str, where: str) -> Filter:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
        found = getattr(module, attribute)
    except ModuleNotFoundError as error:
        raise RecipeError(f"{where}: cannot import '{module_name}' of '{name}': {error}") from error
    except AttributeError as error:
        raise RecipeError(f"{where}: '{module_name}' has no '{attribute}'") from error
    if not isinstance(found, Filter):
        raise RecipeError(
            f"{where}: '{name}' is a {type(found).__name__}, not an autoclave.cleaning.filters.base.Filter"
        )
    source = getattr(module, "__file__", None)
    return replace(found, files=(*found.files, source)) if source else found
