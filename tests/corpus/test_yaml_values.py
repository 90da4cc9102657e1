"""YAML 1.2's core schema: the examples of the specification, what recipes hold, and the way back."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.chain import CleanSettings
from autoclave.corpus.yaml_values import read_yaml, with_remedy, write_yaml

# https://yaml.org/spec/1.2.2/#1032-tag-resolution: the examples of the table and of figure 10.9, and the neighbours
# that YAML 1.1 reads otherwise.
SCALARS: dict[str, Any] = {
    **dict.fromkeys(["null", "Null", "NULL", "~", ""]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **{word: word for word in ("no", "No", "NO", "off", "Off", "on", "ON", "yes", "y", "n", "tRue", "nULL", "=")},
    "0": 0, "-19": -19, "+7": 7, "0o7": 7, "0o14": 12, "0x3A": 58, "0xc": 12, "007": 7, "0777": 777, "08": 8,
    **{word: word for word in ("1_000", "190:20:30", "1:30", "0b11", "-0x1f", "0o8", "2001-12-14", "12:30:45", "1e")},
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -2e5, "1e-3": 1e-3, "1e5": 1e5, "2.5": 2.5,
    ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf, ".NaN": math.nan, ".e5": ".e5", ".": ".",
    "'no'": "no", "'1'": "1", '"true"': "true", "!!str 1": "1", "!!float 3": 3.0, "!!int 0x10": 16,
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_is_what_yaml_1_2_says_at_every_place(text: str) -> None:
    for found in (read_yaml(text), read_yaml(f"a: {text}")["a"], read_yaml(f"{{a: {text}}}")["a"]):
        assert repr(found) == repr(SCALARS[text])


def test_words_of_people_are_keys_too() -> None:
    assert read_yaml("{no: [da, no], off: on, 1e3: x}") == {"no": ["da", "no"], "off": "on", 1000.0: "x"}


def test_settings_are_shared_by_merging_and_changed() -> None:
    found = read_yaml("a: &one {x: 1, y: [2]}\nb: {<<: *one, x: 3}\nc: {d: {<<: *one, y: 0}, e: *one}")
    assert found == {"a": {"x": 1, "y": [2]}, "b": {"x": 3, "y": [2]}, "c": {"d": {"x": 1, "y": 0}, "e": found["a"]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there already, in line 1"),
        ("x:\n  - {k: 1,\n     'k': 2}", "line 3: the key 'k' is there already, in line 2"),
        ("{1: a, 0x1: b}", "line 1: the key '0x1' is there already, in line 1"),
        ("a: &a [1, *a]", "line 1: '*a' holds itself"),
        ("!!bool yes", "'yes' is no bool"),
        ("!!int 1.5", "'1.5' is no int"),
        ("!!timestamp 2001-12-14", "could not determine a constructor"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: [", "line 1"),
        ("? [a]\n: 1", "unhashable key"),
        ("9" * 5000, "digits"),
        ("[" * 5000, "nested too deeply"),
        ("--- 1\n--- 2", "a single document"),
        ("a\0", "unacceptable character"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read_yaml(text)
    assert message in " ".join(str(caught.value).split())


_WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [*SCALARS, "<<", "- a", "#", "a: b", "1e3", "0o17", "08", " ", "2024-01-01", "\x85", "\u2028", "'"]
    ),
    st.from_regex(r"[-+.0-9eExo_:]{1,8}", fullmatch=True),
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(_VALUES, st.sampled_from([None, True, False]), st.sampled_from([80, 120, 10_000]))
def test_what_is_written_reads_back_the_same(value: Any, flow: bool | None, width: int) -> None:
    text = write_yaml(value, default_flow_style=flow, width=width)
    assert read_yaml(text) == value
    assert yaml.safe_load(text) == value  # readers of YAML 1.1 agree


def test_equal_settings_are_written_out_each() -> None:
    shared = {"dialect": "paper"}
    assert "&" not in write_yaml({"a": shared, "b": shared})


def test_a_wrong_type_says_what_to_write() -> None:
    class Settings(msgspec.Struct):
        exact: bool = True
        inner: CleanSettings | None = None

    for values, message in (
        ({"exact": "on"}, "Expected 'bool', got 'str'; write true or false - at '$.exact'"),
        ({"inner": "off"}, "Expected 'object | null', got 'str'; write null to switch it off, or a mapping"),
    ):
        with pytest.raises(msgspec.ValidationError) as caught:
            msgspec.convert(values, Settings)
        assert message in with_remedy(caught.value)
