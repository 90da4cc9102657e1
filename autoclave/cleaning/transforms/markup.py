"""Rule 1: HTML out of texts that hold raw markup, and of no others.

`p<q and ... A -> B` is no tag, "the <p> element" is a word of a sentence, and a page about HTML shows tags on purpose.
So a text is touched only where tags stand as markup does: glued to the words that they mark, opened and closed, with
attributes; and where few stand as words do, between blanks. The whole text gives that evidence, or nothing is edited.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from html.entities import html5

from autoclave.cleaning.transforms.protected import edit, protected_spans
from autoclave.corpus.inline import subscript, superscript

_BLOCK = (
    "address article aside blockquote body br center dd details dir div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 head header hr html li main menu nav ol option p section summary table tbody td tfoot th thead "
    "tr ul"
)
_INLINE = (
    "a abbr acronym area audio b base basefont bdi bdo big button canvas caption cite code col colgroup data "
    "datalist del dfn dialog em embed font frame frameset i iframe img input ins kbd label legend link map "
    "mark meta meter noframes noscript object optgroup output param picture pre progress q rp rt ruby s samp script "
    "select small source span strike strong style sub sup svg template textarea time title track tt u var video wbr"
)
_BLOCK_NAMES = frozenset(_BLOCK.encode().split())
_NAMES = _BLOCK_NAMES | frozenset(_INLINE.encode().split())
_VOID_NAMES = frozenset(b"br hr img wbr input".split())

TAG_BYTES = 4_000
"""Most bytes of a tag."""
CONTENT_BYTES = 20_000
"""Most bytes of a script or a style that goes with its tags; of a longer one the tags alone go."""
COMMENT_BYTES = 200
"""Most bytes of a comment that goes; a longer one is as often text that somebody hid, and stays."""
LEAST_SCORE = 2
"""Tags that must stand as markup does."""
WORDS_AGAINST = 3
"""... and how many of them a tag outweighs that stands as a word does."""
BYTES_A_TAG = 1_000
"""... in so many bytes of text at most a tag: markup that a page is about is rarer than markup that it is made of."""

PARTS, LEAST_PARTS, SPREAD_BYTES = 8, 4, 2_000
"""... and of the PARTS of a text of SPREAD_BYTES or more, LEAST_PARTS hold tags: a sample of markup stands in one."""

_TAG = re.compile(
    rb"""<(?:
        (?P<comment>!--) | (?P<doctype>!doctype\b[^<>]{0,500}+>)
      | (?P<close>/)(?P<closed>[a-z][a-z0-9]*+(?:-[a-z0-9]++)*+)\s{0,20}+>
      | (?P<name>[a-z][a-z0-9]*+(?:-[a-z0-9]++)*+)
        (?P<attributes>(?:\s{1,200}+(?:
            [a-z_:@][-\w:.]{0,100}+\s{0,20}+=\s{0,20}+(?:"[^"<]{0,2000}+"|'[^'<]{0,2000}+'|[^\s"'<>=`]{1,500}+)
          | (?:async|autofocus|autoplay|checked|controls|defer|disabled|download|hidden|itemscope|loop|multiple|muted
              |nofollow|noshade|novalidate|nowrap|open|playsinline|readonly|required|reversed|selected)(?=[\s/>])
        )){0,60}+)
        \s{0,200}+/?>
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_SCRIPT = re.compile(
    rb"<(su[pb])(?:\s[^<>]{0,300})?>((?:[^<>]|<(?!/?su[pb][\s>])[^<>]{0,60}>){1,40})</\1\s{0,9}>", re.IGNORECASE
)
_INNER = re.compile(rb"<[^<>]*>")
_CONTENT_ENDS = {
    b"script": re.compile(rb"</script\s{0,20}>", re.IGNORECASE),
    b"style": re.compile(rb"</style\s{0,20}>", re.IGNORECASE),
    b"!--": re.compile(rb"-->"),
}
_ENTITY = re.compile(rb"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ANY_AMPERSAND = re.compile(rb"&")
_ANGLES = frozenset((b"&lt;", b"&gt;", b"&LT;", b"&GT;", b"&#60;", b"&#62;"))
LEAST_ENTITIES = 3
"""Character references at words (AT&amp;T, don&#39;t) from which on a text is taken to be encoded."""

_BLANKS = frozenset(b" \t\n\r")
_AFTER_A_WORD = frozenset(b".,;:!?)]}\"'`*")
_BEFORE_A_WORD = frozenset(b"([{\"'`*")


def strip_html_tags(text: bytes, language: str | None = None, hint: int = 0) -> tuple[bytes, int]:
    """Remove HTML tags, comments, scripts and styles with their content, and decode character references, where the
    whole text shows that it holds raw markup.

    Only names that HTML has count, and custom elements (a hyphen in the name) that are opened and closed. A tag of a
    block element that stood between words leaves a line end, any other nothing. What is removed at a place is one tag
    (TAG_BYTES at most), a comment (COMMENT_BYTES) or code (CONTENT_BYTES), never text between tags.
    """
    changes = 0
    if b"<" in text:
        tags = list(_found(text))
        if _holds_markup(text, tags):
            text, changes = edit(text, _removals(text, tags))
            text, entities = edit(text, _entities(text))
            return text, changes + entities
    if b"&" in text and _is_encoded(text):
        text, changes = edit(text, _entities(text))
    return text, changes


def _found(text: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the tags outside protected spans."""
    spans = protected_spans(text)
    starts = [start for start, _ in spans]
    for match in _TAG.finditer(text):
        if match.end() - match.start() > TAG_BYTES:
            continue
        at = bisect_right(starts, match.start()) - 1
        if at < 0 or spans[at][1] <= match.start():
            yield match


def _name(match: re.Match[bytes]) -> bytes:
    return (match.group("name") or match.group("closed") or match.group("comment") or b"!doctype").lower()


def _holds_markup(text: bytes, tags: list[re.Match[bytes]]) -> bool:
    """Whether the tags stand as markup does: at least LEAST_SCORE of them, many more than stand as words do."""
    opened: Counter[bytes] = Counter()
    closed: Counter[bytes] = Counter()
    unclosed: Counter[bytes] = Counter()
    score = words = 0
    for match in tags:
        name = _name(match)
        if match.group("closed"):
            closed[name] += _is_glued(text, match.start() - 1, match.end(), before=True)
        elif match.group("name") and name in _VOID_NAMES:
            score += 1 if match.group("attributes") or not _is_word(text, match) else 0
            words += _is_word(text, match) and not match.group("attributes")
        elif match.group("name") and (name in _NAMES or b"-" in name):
            opened[name] += 1
            score += bool(match.group("attributes")) and name in _NAMES
            words += _is_word(text, match) and not match.group("attributes")
            unclosed[name] += name in _BLOCK_NAMES and _begins_line(text, match)
        else:
            score += 1
    pairs = {name: min(count, closed[name]) for name, count in opened.items()}
    score += sum(max(pairs[name], unclosed[name]) for name in pairs)
    spread = len({PARTS * match.start() // len(text) for match in tags})
    if len(tags) * BYTES_A_TAG < len(text) or (spread < LEAST_PARTS and len(text) >= SPREAD_BYTES):
        return False
    return score >= max(LEAST_SCORE, WORDS_AGAINST * words)


def _is_glued(text: bytes, at: int, after: int, before: bool) -> bool:
    """Whether a closing tag ends what stands before it: no blank, or a line end of its own."""
    return at < 0 or text[at] not in _BLANKS or text[at] == 10 or after == len(text) or text[after] == 10


def _begins_line(text: bytes, match: re.Match[bytes]) -> bool:
    """Whether a tag stands at the start of a line, with a word right behind it: `<p>One` and no `</p>`."""
    start, end = match.span()
    glued = end < len(text) and text[end] not in _BLANKS and text[end] not in _AFTER_A_WORD
    return (start == 0 or text[start - 1] == 10) and glued


def _is_word(text: bytes, match: re.Match[bytes]) -> bool:
    """Whether a tag stands as a word of a sentence does: between blanks or marks, not at the edges of its line."""
    start, end = match.span()
    before = text[start - 1] if start else 10
    after = text[end] if end < len(text) else 10
    led = before in (32, 9) or before in _BEFORE_A_WORD
    followed = after in (32, 9) or after in _AFTER_A_WORD
    return ((led or before == 10) and followed) or (led and after == 10)


def _removals(text: bytes, tags: list[re.Match[bytes]]) -> Iterator[tuple[int, int, bytes]]:
    closed = {_name(match) for match in tags if match.group("closed")}
    done = 0
    endless: set[bytes] = set()  # what has no end further on, so that it is looked for once only
    for match in tags:
        start, end = match.span()
        name = _name(match)
        custom = name not in _NAMES and not match.group("comment") and not match.group("doctype")
        if start < done or (custom and (b"-" not in name or name not in closed)):
            continue
        new = b""
        script = _SCRIPT.match(text, start) if name in (b"sup", b"sub") else None
        if script is not None:  # 10<sup>6</sup> is not 106
            end = script.end()
            content = html.unescape(_INNER.sub(b"", script.group(2)).decode())
            base = text[max(0, start - 4) : start].decode(errors="ignore")[-1:].strip()
            blank = " " if content[-1:].isspace() and not text[end : end + 1].isspace() else ""
            new = ((superscript if name == b"sup" else subscript)(content, base) + blank).encode()
        elif name in _CONTENT_ENDS and not match.group("closed"):
            closing = None if name in endless else _CONTENT_ENDS[name].search(text, end)
            if closing is None:
                endless.add(name)
            elif closing.end() - start <= (COMMENT_BYTES if name == b"!--" else CONTENT_BYTES):
                end = closing.end()
            if end == match.end() and name == b"!--":
                continue
        elif name in _BLOCK_NAMES and start > 0 and end < len(text) and text[start - 1] != 10 and text[end] != 10:
            new = b"\n"
        done = end
        yield start, end, new


def _is_encoded(text: bytes) -> bool:
    """Whether the text is still encoded as HTML: references stand at words, and nearly all ampersands begin one.

    `&lt;` and `&gt;` are no evidence: texts about HTML are full of them.
    """
    glued = 0
    for match in _ENTITY.finditer(text):
        start, end = match.span()
        if match.group() in _ANGLES or not _is_known(match.group()):
            continue
        letter = start > 0 and (text[start - 1 : start].isalnum() or text[start - 1] >= 0x80)
        glued += letter or (end < len(text) and (text[end : end + 1].isalnum() or text[end] >= 0x80))
    if glued < LEAST_ENTITIES:
        return False
    every = len(_ENTITY.findall(text))
    return 4 * (len(_ANY_AMPERSAND.findall(text)) - every) <= every and 2 * glued >= every


def _is_known(reference: bytes) -> bool:
    return reference.startswith(b"&#") or reference[1:].decode() in html5


def _entities(text: bytes) -> Iterator[tuple[int, int, bytes]]:
    for match in _ENTITY.finditer(text):
        decoded = html.unescape(match.group().decode())
        if decoded == "\x00" or "\ud800" <= decoded[:1] <= "\udfff":
            decoded = ""
        yield match.start(), match.end(), decoded.encode()
