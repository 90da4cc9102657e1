"""YAML as recipes mean it: the core schema of YAML 1.2, in which `no` is a language and `off` a method."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import msgspec
import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

_TAG = "tag:yaml.org,2002:"
# https://yaml.org/spec/1.2.2/#103-core-schema: tag, what such a plain scalar looks like, how it may begin.
_CORE_SCHEMA = [
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", [*"-+."]),
    # Not of the core schema, but how recipes share settings: `<<: *defaults`.
    ("merge", r"<<", ["<"]),
]


def read_yaml(text: str | bytes) -> Any:
    """Return the values of one YAML document: dict, list, str, bool, int, float, None.

    Plain scalars are what the core schema of YAML 1.2 says: true and false alone are bool (`no`, `off`, `on`, `yes`
    are strings), a leading 0 is decimal, 0o and 0x are not, 1e-3 is a float, dates are strings. Raises yaml.YAMLError,
    naming the line, for what is not YAML or has other tags, a key that a mapping has twice, a collection that holds
    itself, and nesting beyond Python's recursion limit.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error


def write_yaml(value: Any, **style: Any) -> str:
    """Return plain values as YAML in their own order, quoted where YAML 1.1 or 1.2 would read another value.

    style: options of yaml.dump, such as width.
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style)


def with_remedy(error: msgspec.ValidationError) -> str:
    """Return what is wrong with a value and where, in one line, and what to write where people mean yes, no or off."""
    message, at, place = str(error).partition(" - at ")
    remedy = next((remedy for expected, remedy in _REMEDIES.items() if expected in message), "")
    message = message.replace("Object contains unknown field", "unknown key")
    return f"{message}{remedy}{at}{place}".replace("`", "'")


_REMEDIES = {
    "Expected `bool": "; write true or false",
    "Expected `object | null`": "; write null to switch it off, or a mapping of its settings",
}


_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
"""First character -> what a plain scalar that begins with it may be, as PyYAML has it."""

for _name, _pattern, _first in _CORE_SCHEMA:
    for _character in _first:
        _RESOLVERS.setdefault(_character, []).append((_TAG + _name, re.compile(rf"(?:{_pattern})\Z")))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _RESOLVERS
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: function
        for tag, function in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in ("null", "str", "seq", "map")
    }

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            node = self.anchors.get(event.anchor)
            if isinstance(node, CollectionNode) and node.end_mark is None:  # not at its end: we are in it
                raise yaml.YAMLError(f"line {event.start_mark.line + 1}: '*{event.anchor}' holds itself")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if isinstance(key, ScalarNode) and key.tag != _TAG + "merge":
                value = self.construct_object(key)
                line = key.start_mark.line + 1
                if value in seen:
                    raise yaml.YAMLError(f"line {line}: the key '{key.value}' is there already, in line {seen[value]}")
                seen[value] = line
        return node

    def construct_plain(self, node: ScalarNode) -> Any:
        """Return the value of a bool, int or float, as the schema or an explicit tag (`!!float 3`) says."""
        text, kind = self.construct_scalar(node), node.tag.removeprefix(_TAG)
        found = self.resolve(ScalarNode, text, (True, False)).removeprefix(_TAG)
        if found != kind and (found, kind) != ("int", "float"):
            raise yaml.constructor.ConstructorError(None, None, f"'{text}' is no {kind}", node.start_mark)
        if kind == "bool":
            return text.lower() == "true"
        try:
            return _integer(text) if found == "int" and kind == "int" else _real(text)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


for _name in ("bool", "int", "float"):
    _Loader.add_constructor(_TAG + _name, _Loader.construct_plain)


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _real(text: str) -> float:
    if text[:2] in ("0o", "0x"):
        return float(_integer(text))
    special = text.lower().lstrip("+-")
    if special in (".inf", ".nan"):
        return math.nan if special == ".nan" else math.copysign(math.inf, -1 if text[0] == "-" else 1)
    return float(text)


class _Dumper(yaml.SafeDumper):
    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Return the tag of a scalar without quotes: that of YAML 1.2 where 1.1 sees a string."""
        tag: str = super().resolve(kind, value, implicit)
        if kind is ScalarNode and implicit[0] and tag == _TAG + "str":
            for core, pattern in _RESOLVERS.get(value[:1], ()):
                if pattern.match(value):
                    return core
        return tag

    def represent_str(self, data: str) -> ScalarNode:
        """Return the node of a string: line ends that a fold would lose are escaped."""
        return self.represent_scalar(_TAG + "str", data, '"' if _RARE_LINE_ENDS.search(data) else None)

    def ignore_aliases(self, data: Any) -> bool:
        return True  # two settings of equal value are two settings


_RARE_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
_Dumper.add_representer(str, _Dumper.represent_str)
