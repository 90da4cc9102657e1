"""What a crawl holds, written so that no terminal obeys it: escape sequences, C1 controls, reversed text.

ESC (and with it ANSI and OSC sequences), the other C0 controls and DEL, C1 (U+0080 to U+009F, one of which is a whole
CSI), the overrides, embeddings and isolates of the bidirectional algorithm (Unicode Standard Annex 9; CVE-2021-42574
tells what they hide), line and paragraph separators, and lone surrogates become escapes.
"""

from __future__ import annotations

import re

_COMMANDS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_IN_TEXT = re.compile(f"[{_COMMANDS}]")
_IN_LINE = re.compile(f"[{_COMMANDS}\t\n]")
_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, *, lines: bool = True) -> str:
    """Return the text with every character that a terminal could obey as an escape, such as \\x1b or \\u202e.

    lines: leave line feeds and tabs, as in a text; without them a URL or a name cannot pretend to be the next line.
    """
    return (_IN_TEXT if lines else _IN_LINE).sub(_escaped, text)


def printable_json(document: str) -> str:
    """Return a JSON document, of the same value, in which such characters are written as \\u escapes."""
    return _IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", document)


def _escaped(match: re.Match[str]) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(match.group()) or (
        f"\\x{ord(match.group()):02x}" if match.group() < "\u0100" else f"\\u{ord(match.group()):04x}"
    )
