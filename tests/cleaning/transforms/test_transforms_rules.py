"""Each transform's rule, case by case: what goes, what stays, how many changes are counted."""

from __future__ import annotations

import base64
import hashlib

import pyarrow as pa
import pytest

from autoclave.cleaning.transforms.registry import TRANSFORMS

DATA = base64.b64encode(hashlib.shake_256(b"data").digest(1800)).decode().rstrip("=")

CASES = [
    ("strip_urls", "see https://a.example/b?c=d#e, or http://x.example.", "see, or.", 2),
    (
        "strip_urls",
        '(https://a.example) and [1](http://b.example "title") ![alt](http://c.example/i.png)!',
        " and 1 !",
        3,
    ),
    ("strip_urls", "\u53c2\u89c1https://zh.example/\u8def\u5f84\u3002", "\u53c2\u89c1\u3002", 1),
    ("strip_urls", "www.example.org/x and <http://a.example> ftp://f.example/a_(b)", " and", 3),
    ("strip_urls", "see https://de.site.tld/wiki/K\u00e4se here", "see here", 1),
    (
        "strip_urls",
        "\u0441\u043c. https://ru.site.tld/wiki/\u0421\u044b\u0440 \u0442\u0443\u0442",
        "\u0441\u043c. \u0442\u0443\u0442",
        1,
    ),
    (
        "strip_urls",
        "ar https://ar.site.tld/\u0648\u064a\u0643\u064a\u060c \u0647\u0646\u0627",
        "ar\u060c \u0647\u0646\u0627",
        1,
    ),
    ("strip_urls", "[\u5976\u916a](https://zh.site.tld/wiki/\u5976\u916a)\u597d", "\u5976\u916a\u597d", 1),
    ("strip_urls", "\u8bbf\u95eehttps://a.example/x\u4e0b\u8f7d", "\u8bbf\u95ee\u4e0b\u8f7d", 1),
    (
        "strip_urls",
        "https://\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444/a and https://\u4f8b\u5b50.\u516c\u53f8/b!",
        " and!",
        2,
    ),
    ("strip_urls", "at Www.site.tld/x or WWW.SITE.TLD.", "at or.", 2),
    ("strip_urls", "at blog.site.tld:8081/post.html, http://8.8.8.8:80/x, 192.168.0.1/admin.", "at,,.", 3),
    ("strip_urls", "10.0.0.0/8 main.py:12 and/or 1/2 12:30/13:30 site.tld:80", None, 0),
    ("strip_urls", "One.\nhttps://site.tld/x\nTwo.", "One.\nTwo.", 1),
    ("strip_urls", "One.\n\nhttps://site.tld/x https://site.tld/y\n\nTwo.", "One.\n\nTwo.", 1),
    ("strip_urls", "- https://a.example/b\n- text https://b.example/c\n> www.c.example", "- text", 3),
    ("strip_urls", "email@www.example.com, http:// alone, notahttp://x, std::string", None, 0),
    ("strip_garbled", "a\ufffd\ufffdb \u951f\u65a4\u62f7\u951f\u65a4\u62f7 c", "ab  c", 2),
    ("strip_garbled", "good line\nb\ufffda\ufffdd\ufffd l\ufffdne\nend", "good line\nend", 1),
    (
        "strip_garbled",
        "\u70eb\u70eb\u70eb\u70eb \u5c6f\u5c6f\u5c6f \u6c34\u5f88\u70eb\u70eb\u7684 \u951f",
        "  \u6c34\u5f88\u70eb\u70eb\u7684 \u951f",
        2,
    ),
    ("strip_garbled", "x\x00\x01y\x7fz\u0085\u0096", "xyz\u0085", 4),
    ("strip_garbled", "Z" + "\u0301\u0302\u0303\u0304\u0305" + "!", "Z\u0301\u0302\u0303!", 1),
    ("strip_garbled", f"data {DATA}== end", "data  end", 1),
    ("strip_garbled", "data " + "aB3" * 40 + "== end " + DATA[:1900], None, 0),
    ("strip_garbled", f"https://a.example/#code={DATA} data.{DATA}", None, 0),
    ("strip_garbled", "sha512 " + "cf83e135" * 400 + " ssh-rsa " + DATA[:700], None, 0),
    ("strip_garbled", 'shows "\ufffd" or \u201c\u951f\u65a4\u62f7\u201d, a \ufffd alone', None, 0),
    (
        "strip_garbled",
        "caf\ufffd, \ufffdt\ufffd, na\ufffdve: " + "four lost letters in a line of prose " * 3,
        "caf, t, nave: " + "four lost letters in a line of prose " * 3,
        4,
    ),
    ("strip_garbled", "-" * 200 + " " + "_" * 90 + " /usr/share/" + "long-path-name/" * 8, None, 0),
    (
        "collapse_punctuation",
        "what??? no!!!! \u597d\u3002\u3002\u3002 \uff1f\uff1f ,,,",
        "what? no! \u597d\u3002 \uff1f ,",
        5,
    ),
    (
        "collapse_punctuation",
        "wait..... \u2026\u2026\u2026 \u2014\u2014\u2014\u2014 ?!?!?! hm~~~ ",
        "wait... \u2026\u2026 \u2014\u2014 ?! hm~ ",
        5,
    ),
    (
        "collapse_punctuation",
        "a... \u2026\u2026 \u2014\u2014 for(;;) a,,b == -- ## ** __init__ :: |-----| 3.14",
        None,
        0,
    ),
    (
        "collapse_punctuation",
        "A heading\n~~~~~~~~~\n\nAnother\n.........\n  ;;; a comment\n!!! note\n...... x\n\u2014\u2014\u2014\u2014",
        None,
        0,
    ),
    ("map_special_characters", "a\u00a0b\u2003c\u3000d\u200be\ufefff\u00adg", "a b c defg", 6),
    (
        "map_special_characters",
        "\ufb01ne and lo\ufb05, \uff21\uff42\uff13 \ue001x \U000f1234y",
        "fine and lo\u017ft, Ab3 x y",
        7,
    ),
    # Blanks between groups of digits part a number; elsewhere they are blanks.
    (
        "map_special_characters",
        "10\u00a0000\u202f000\u00a0\u20ac, 3\u20091416, p.\u00a07 \u00ab\u202foui\u202f\u00bb",
        "10\u00a0000\u202f000 \u20ac, 3\u20091416, p. 7 \u00ab oui \u00bb",
        4,
    ),
    # The zero-width blank parts words where no other blank does: Burmese, Khmer, Thai, Lao, Javanese.
    (
        "map_special_characters",
        "\u1019\u103c\u1014\u103a\u200b\u1019\u102c \u1781\u17d2\u1798\u17c2\u179a\u200b\u1793\u17c5 "
        "\u0e44\u0e17\u0e22\u200b\u0e14\u0e35 \u0ea5\u0eb2\u0ea7\u200b\u0e94\u0eb5 \ua9b2\ua9a4\u200b\ua9b8 "
        "\u540c\u200b\u6b65",
        "\u1019\u103c\u1014\u103a\u200b\u1019\u102c \u1781\u17d2\u1798\u17c2\u179a\u200b\u1793\u17c5 "
        "\u0e44\u0e17\u0e22\u200b\u0e14\u0e35 \u0ea5\u0eb2\u0ea7\u200b\u0e94\u0eb5 \ua9b2\ua9a4\u200b\ua9b8 "
        "\u540c\u6b65",
        1,
    ),
    ("map_special_characters", "\u182e\u1823\u1829\u182d\u1823\u182f\u202f\u1824\u1828 \u1820\u180e\u1820", None, 0),
    (
        "map_special_characters",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d\u0937 \U0001f468\u200d\U0001f469",
        None,
        0,
    ),
    # Full-width letters and digits belong to Chinese and Japanese text; a text of nothing else is written in them.
    ("map_special_characters", "\uff23\uff24\u3092\u8cb7\u3063\u305f\u3002\uff12\uff10\uff12\uff13\u5e74", None, 0),
    ("map_special_characters", "\uff34\uff48\uff49\uff53 \uff49\uff53", "This is", 6),
    # Radicals within words are what PDF files hold for characters; a list of radicals means them.
    (
        "map_special_characters",
        "\u2f64\u6237\u53ef\u4ee5\u901a\u8fc7\u547d\u4ee4\u67e5\u770b\u5f53\u524d\u7684\u7cfb\u7edf\u65f6\u95f4",
        "\u7528\u6237\u53ef\u4ee5\u901a\u8fc7\u547d\u4ee4\u67e5\u770b\u5f53\u524d\u7684\u7cfb\u7edf\u65f6\u95f4",
        1,
    ),
    ("map_special_characters", "\u2f00 one, \u2f01 line, \u2f08 man (\u4eba)", None, 0),
    # A private-use character in a word is a rare character of it; by itself it is an icon.
    (
        "map_special_characters",
        "\u5de1\u629a\u65b9\u5b54\ue407\u53ec\u603b\u5175 \uf015 Home",
        "\u5de1\u629a\u65b9\u5b54\ue407\u53ec\u603b\u5175  Home",
        1,
    ),
    ("map_special_characters", "a\u2028b\u0085c\x0bd", "a\nb\nc\nd", 3),
    ("map_special_characters", "\uff0c\uff01 \u200d\u200c \u201cquotes\u201d \u200e", None, 0),
    ("normalise_unicode", "cafe\u0301 \u1100\u1161\u11a8 \ufa0a", "caf\u00e9 \uac01 \u898b", 1),
    (
        "normalise_unicode",
        "caf\u00c3\u00a9 \u00e2\u20ac\u0153quoted\u00e2\u20ac\u009d \u00c3\u0192\u00c2\u00bc",
        "caf\u00e9 \u201cquoted\u201d \u00fc",
        1,
    ),
    ("normalise_unicode", "na\u00efve \u00abd\u00e9j\u00e0 vu\u00bb \u00e4\u00e4 \u00d7 \u00c2 x\u00b2", None, 0),
    ("standardise_numbers", "1,234,567 and 12,34 and \u0661\u0662 \uff13", "1234567 and 12,34 and 12 3", 1),
]


@pytest.mark.parametrize(("name", "text", "expected", "changes"), CASES)
def test_rules(name: str, text: str, expected: str | None, changes: int) -> None:
    edited, count = TRANSFORMS[name].apply(pa.array([text], pa.string()))
    assert (edited[0].as_py(), int(count[0])) == (text if expected is None else expected, changes)
