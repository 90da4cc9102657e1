"""Keys and tokens that open something, by the beginnings that their makers gave them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    rb"""(?<![A-Za-z0-9_])(?:
            (?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9_])                  # Amazon
          | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_[A-Za-z0-9_]{60,}  # GitHub
          | glpat-[A-Za-z0-9_-]{20,}                                   # GitLab
          | xox[abposr]-[A-Za-z0-9-]{20,}                              # Slack
          | AIza[0-9A-Za-z_-]{35}                                      # Google
          | sk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,} | hf_[A-Za-z]{30,}    # model providers
          | (?<!-)eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})   # JSON web token
    """,
    re.VERBOSE,
)
_KEY_BEGINS = re.compile(rb"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
_KEY_ENDS = re.compile(rb"-----END [A-Z ]{0,30}PRIVATE KEY-----")
_KEY_BYTES = 10_000


def credentials(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of private keys in PEM form and of tokens."""
    done = 0
    for begin in _KEY_BEGINS.finditer(text):
        if begin.start() < done:
            continue
        ends = _KEY_ENDS.search(text, begin.end(), begin.end() + _KEY_BYTES)
        if ends is not None:
            done = ends.end()
            yield begin.start(), done
        else:
            done = begin.end() + _KEY_BYTES  # what has no end for so long is no key, nor is what begins within it
    yield from (match.span() for match in _TOKEN.finditer(text))
