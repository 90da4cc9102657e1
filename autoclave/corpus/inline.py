"""Inline markup that changes what a text says, written so that text holds it: scripts, code, readings.

x<sup>2</sup> is x², CO<sub>2</sub> is CO₂, e<sup>-kt</sup> is e^{-kt}, v<sub>max</sub> is v_{max}, <code>for</code> is
`for`; without that they would be x2, CO2, e-kt, vmax and a word. Of characters with readings (ruby) these stay off.
"""

from __future__ import annotations

import html
import re

_SUPERSCRIPTS = str.maketrans("0123456789+-\u2212=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿ")
_SUBSCRIPTS = str.maketrans("0123456789+-\u2212=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
# With forms of their own; commas, as between the numbers of notes, stay as they are.
_RAISED = re.compile(r"[0-9+\u2212=()n,;\u2009 -]*[0-9n+\u2212-][0-9+\u2212=()n,;\u2009 -]*")
_LOWERED = re.compile(r"[0-9+\u2212=(),;\u2009 -]*[0-9+\u2212-][0-9+\u2212=(),;\u2009 -]*")
_TRADE = {"TM": "™", "SM": "℠", "(R)": "®"}  # C<sup>R</sup> is an allele
_ORDINALS = frozenset("aeohrsºª")
_LAST_LATIN = "\u024f"  # e<sup>iπ</sup> is no abbreviation

_TAG = re.compile(r"<[^<>]{0,1000}>")
_SCRIPT = re.compile(
    r"<(su[pb])(?:\s[^<>]{0,500})?>((?:[^<]|<(?!/?su[pb][\s>])[^<>]{0,500}>){0,300}?)</\1\s*>", re.IGNORECASE
)
_CODE = re.compile(r"<code(?:\s[^<>]{0,500})?>((?:[^<]|<(?!/?(?:code|pre)[\s>])){0,800}?)</code\s*>", re.IGNORECASE)
_BLOCK = re.compile(r"<(?:br|p|div|li|tr|td|table|h[1-6]|pre|ul|ol)\b", re.IGNORECASE)
CODE_CHARACTERS = 400
_READING = re.compile(
    r"<(rtc?|rp)(?:\s[^<>]{0,200})?>[^<]{0,200}(?:<(?!/?r[tpbu])[^<>]{0,200}>[^<]{0,200}){0,9}(?:</\1\s*>|(?=</?r[tpbu]))",
    re.IGNORECASE,
)
_RUBY = re.compile(r"</?(?:ruby|rb)(?:\s[^<>]{0,200})?>", re.IGNORECASE)


def superscript(text: str, base: str) -> str:
    """Return how a superscript is written behind the character `base` ("" where it stands by itself).

    Ordinals and abbreviations (1st, 2ème, No, Mme) stay letters; marks of notes and of trade stay signs.
    """
    text = text.strip()
    if text in _TRADE and base.isalpha():
        return _TRADE[text]
    if _RAISED.fullmatch(text) and (base or text != "n"):
        return text.translate(_SUPERSCRIPTS)
    if not base or text.startswith("[") or not any(sign.isalnum() for sign in text):
        return text
    if (
        text.isalpha()
        and max(text) <= _LAST_LATIN
        and (len(text) > 1 or (text in _ORDINALS and (base.isdigit() or base in "nNMDVS")))
    ):
        return text
    return f"^{text}" if len(text) == 1 else f"^{{{text}}}"


def subscript(text: str, base: str) -> str:
    """Return how a subscript is written behind the character `base` ("" where it stands by itself)."""
    text = text.strip()
    if _LOWERED.fullmatch(text):
        return text.translate(_SUBSCRIPTS)
    if not base or not any(sign.isalnum() for sign in text):
        return text
    return f"_{text}" if len(text) == 1 else f"_{{{text}}}"


def write_scripts(markup: str) -> str:
    """Replace superscript and subscript elements of HTML source by text; inner ones first, three levels deep.

    Takes time in proportion to the length, whatever is opened and never closed.
    """
    for _ in range(3):
        written = _SCRIPT.sub(_write_script, markup)
        if written == markup:
            break
        markup = written
    return markup


def _write_script(match: re.Match[str]) -> str:
    text = html.unescape(_TAG.sub("", match.group(2)))
    before = _TAG.sub("", match.string[max(0, match.start() - 200) : match.start()])
    write = subscript if match.group(1).lower() == "sub" else superscript
    return html.escape(write(text, before[-1:].strip().strip(">")), quote=False)


def write_code(markup: str) -> str:
    """Put the content of inline code elements of HTML source between backticks.

    What is long or holds blocks is no piece of a sentence, and stays.
    """
    return _CODE.sub(_write_code, markup)


def _write_code(match: re.Match[str]) -> str:
    content = match.group(1)
    text = html.unescape(_TAG.sub("", content) if "<" in content else content).strip()
    if not text or len(text) > CODE_CHARACTERS or ("<" in content and _BLOCK.search(content)):
        return match.group()
    before, after = backticks(text)
    opening = match.group()[: match.start(1) - match.start()]
    return f"{opening}{before}{content.strip()}{after}</code>"


def backticks(text: str) -> tuple[str, str]:
    """What stands before and after a piece of code in a sentence: more backticks than it has in a row (CommonMark)."""
    if "`" not in text:
        return "`", "`"
    ticks = "`" * (1 + max(map(len, re.findall("`+", text))))
    return f"{ticks} ", f" {ticks}"


def drop_readings(markup: str) -> str:
    """Leave of ruby elements of HTML source their characters, without the readings above them."""
    return _RUBY.sub("", _READING.sub("", markup))
