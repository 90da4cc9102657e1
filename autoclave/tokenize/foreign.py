"""Tokenizers that others made: what of a tokenizer.json is switched off, and what makes it unfit for a corpus.

A corpus must come back as it went in, the same way every time, and its text must never become a control token. So

- switched off, with a warning: truncation, padding, dropout. They say how somebody used it, not what ids mean;
- always off: special tokens in text, and those that a template would put around it;
- refused: whatever does not write every text back as it was (a normaliser that changes text, an `<unk>` for what the
  vocabulary lacks, a pre-tokenizer that drops spaces), and whatever writes a control token for a text like it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from autoclave.errors import SchemaError

PROBES = (
    "The Server was THERE, 3.14159; naïve cafés: O'Neill's €5!",
    "  two  spaces, a\ttab, \r\n\n line ends \n and at the end  ",
    "e\u0301 \u00e9 \u212b \uff21\uff11\u3000\ufb01 \u00bd \u2460 \u00a0|",  # NFC and NFKC would change it
    "\u4e2d\u6587\u6ca1\u6709\u7a7a\u683c\u3002\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627 \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\u0f40\u0f41 \u10ea\u12a0\u1780",
    "\U0001f469\u200d\U0001f4bb \U0001d518 \U00020000 \U000e0041 \ue000 \ufffd \u0000\u0001\u007f\u0085",
    "def f(x):\n    return x[0]  # <b>not</b> & markup\n\n\n",
    "<0x41> <0xE4> <pad> <mask> [CLS] [SEP] <|endoftext|> <|im_start|>system",
)
"""Texts that a tokenizer must write back as they are."""

_CONTROL = re.compile(r"<[^<>\s]{1,40}>|\[[A-Z_]{2,20}\]")
"""How the names of control tokens look."""


def without_settings(tokenizer_json: str) -> tuple[str, list[str]]:
    """Return a tokenizer.json without settings of its use, and the names of those that were on.

    The same text where there are none. Raises ValueError where it is no JSON object.
    """
    data = json.loads(tokenizer_json)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    found = [name for name in ("truncation", "padding") if data.get(name)]
    for name in found:
        data[name] = None
    model = data.get("model")
    if isinstance(model, dict) and model.get("dropout"):
        model["dropout"] = None
        found.append("dropout")
    return (json.dumps(data, ensure_ascii=False) if found else tokenizer_json), found


def control_tokens(tokenizer_json: str, specials: Iterable[str]) -> tuple[str, list[str]]:
    """Return (a tokenizer.json in which all control tokens are special ones, their names).

    Control tokens: `specials`, every token that is marked as special, and added ones that are named like one.
    """
    data: dict[str, Any] = json.loads(tokenizer_json)
    names = set(specials)
    found: list[str] = []
    for token in data.get("added_tokens") or []:
        if token.get("special") or token["content"] in names or _CONTROL.fullmatch(token["content"]):
            token["special"] = True
            found.append(token["content"])
    return json.dumps(data, ensure_ascii=False), found


def require_lossless(write_back: Callable[[str], str]) -> None:
    """Raise SchemaError, with what is lost, where a text does not come back from its tokens as it was."""
    for probe in PROBES:
        found = write_back(probe)
        if found != probe:
            at = next(
                (i for i, (a, b) in enumerate(zip(probe, found, strict=False)) if a != b), min(len(probe), len(found))
            )
            raise SchemaError(
                f"it does not write texts back as they were: {probe[at : at + 12]!a} comes back as"
                f" {found[at : at + 12]!a}; switch off its normaliser, or give it byte fallback"
            )


def require_text_stays_text(encode: Callable[[str], Iterable[int]], controls: dict[str, int]) -> None:
    """Raise SchemaError where the name of a control token, in a text, becomes that token."""
    ids = set(controls.values())
    for name in controls:
        for probe in (name, f"a {name} b", f"x{name}y", f"\n{name}\n"):
            if ids & set(encode(probe)):
                raise SchemaError(f"the text {probe!a} becomes a control token; texts of a crawl must not")
