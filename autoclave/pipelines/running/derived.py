"""Settings types that are made from others, so that a key, its type, its default and its docstring are written once;
and the refusal of settings that would do nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from autoclave.errors import RecipeError


def derive_settings(
    name: str,
    sources: tuple[type[msgspec.Struct], ...],
    *,
    base: type[msgspec.Struct] = msgspec.Struct,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Any:
    """Return a settings type, to inherit from, with the fields of `base`, then those of `sources` in their order.

    only: the fields to take (default: all); without: fields to leave; defaults: where they differ from the sources'.
    Its attribute `derived_from` holds the sources, in which docs/make_settings.py finds what to say of each field.
    Raises ValueError for a name that no source has (a field was renamed) and for one that two have.
    """
    found = [field for source in sources for field in msgspec.structs.fields(source)]
    names = [field.name for field in found]
    twice = sorted({one for one in names if names.count(one) > 1})
    unknown = sorted({*(only or ()), *without, *(defaults or {})} - set(names))
    if twice or unknown:
        raise ValueError(f"{name}: fields that two sources have: {twice}; that none has: {unknown}")
    taken = [field for field in found if field.name not in without and (only is None or field.name in only)]
    return msgspec.defstruct(
        name,
        [(field.name, field.type, _default(field, defaults or {})) for field in taken],
        bases=(base,),
        namespace={"derived_from": sources},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _default(field: msgspec.structs.FieldInfo, changed: Mapping[str, Any]) -> Any:
    """Return the default of a field as defstruct takes it."""
    if field.name in changed:
        return changed[field.name]
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.field(default=field.default)


def refuse_idle(settings: msgspec.Struct, names: Collection[str], place: str, reason: str) -> None:
    """Raise RecipeError, naming the key, for the first of some fields that is not as by default, since it does nothing.

    place: the stage, with the key that the settings stand under; reason: what makes the fields do nothing.
    """
    for name in names:
        fields = {field.name: field for field in msgspec.structs.fields(type(settings))}
        default = fields[name].default
        if default is msgspec.NODEFAULT:
            default = fields[name].default_factory()
        if getattr(settings, name) != default:
            raise RecipeError(f"{place}.{name}: does nothing {reason}; leave it out")
