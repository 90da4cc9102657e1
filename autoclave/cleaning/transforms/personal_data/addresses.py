"""E-mail and IP addresses of persons: neither code, nor logins of servers, nor versions, nor examples."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterator
from importlib.resources import files

from autoclave.cleaning.transforms.personal_data.words_beside import beside, word_pattern

# -- e-mail ---------------------------------------------------------------------------------------------------------

# Letters beyond ASCII: of two bytes (Latin, Greek, Cyrillic), since Chinese text runs on before an address.
_WORD = rb"[A-Za-z0-9]|[\xc3-\xd4][\x80-\xbf]"
_LOCAL = re.compile(rb"(?:(?:%s|[_%%+-])(?:%s|[._%%+-]){0,63})\Z" % (_WORD, _WORD))
_LABEL = rb"(?:%s)(?:(?:%s|-){0,61}(?:%s))?" % (_WORD, _WORD, _WORD)
_DOMAIN = re.compile(rb"%s(?:\.%s){1,8}" % (_LABEL, _LABEL))
_LOCAL_BYTES = 64
# Reserved for documentation (RFC 2606), what is written for "some domain", and the makers of names of ciphers that
# look like addresses (RFC 4251: aes128-gcm@openssh.com).
_NOBODY = re.compile(
    rb"(?:[\w.-]+\.)?(?:example\.[a-z.]+|[\w-]+\.example|example|invalid|test|localhost)"
    rb"|(?:your-?)?domain\.(?:com|tld)|(?:openssh|libssh)\.(?:com|org)",
    re.IGNORECASE,
)
_LOGINS = frozenset(b"git hg svn bzr cvs anonymous anoncvs root ubuntu ec2-user vagrant".split())
_COMMAND = re.compile(rb"(?<![\w-])(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id|sshfs)[ \t][^\n]*\Z")
_IN_URL = re.compile(rb"://(?:[\w.%~:+-]*|[^\s?#<>\"']*/)\Z")
# Top-level domains of brands that are attributes in code rather than anybody's mail.
_ATTRIBUTES = frozenset(
    b"call data date dot map mov new next now open prod read save search select show tab target total zero zip".split()
)
_REMOTE_PATH = re.compile(rb":[\w/~.]")
_ADDRESS_LITERAL = re.compile(rb"\[?((?:\d{1,3}\.){3}\d{1,3})(?![\w.]*\d)(?!\.?[A-Za-z])\]?")


@functools.cache
def top_level_domains() -> frozenset[bytes]:
    """Return the names in the root zone, lower-cased UTF-8, as assets/top_level_domains.txt has them."""
    return frozenset(files("autoclave").joinpath("assets/top_level_domains.txt").read_bytes().split())


def emails(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of e-mail addresses, those at a public IP address among them."""
    at = text.find(b"@")
    while at >= 0:
        local = _LOCAL.search(text, max(0, at - _LOCAL_BYTES), at)
        if local is not None and not _is_login(text, local.start(), local.group()):
            end = _domain_end(text, at + 1, local.group())
            if end:
                yield local.start(), end
        at = text.find(b"@", at + 1)


def _is_login(text: bytes, start: int, local: bytes) -> bool:
    """Whether the name before "@" is nobody's: of a program or a system's user, of a URL (its user, or a list in the
    path of its archive), or behind the command ssh."""
    if local.lower() in _LOGINS:
        return True
    before = text[max(0, start - 80) : start]
    return _IN_URL.search(before) is not None or _COMMAND.search(before) is not None


def _domain_end(text: bytes, at: int, local: bytes) -> int:
    """Return the end of the mail domain that begins at `at`; 0 where there is none."""
    literal = _ADDRESS_LITERAL.match(text, at)
    if literal is not None:
        return literal.end() if is_public(literal.group(1)) else 0
    match = _DOMAIN.match(text, at)
    if match is None:
        return 0
    end = match.end()
    labels = match.group().split(b".")
    while len(labels) > 2 and labels[-1].lower() not in top_level_domains() and labels[-1][:1].isupper():
        end -= len(labels.pop()) + 1  # the next sentence, begun without a blank
    top = labels[-1].lower()
    if top not in top_level_domains() or _NOBODY.fullmatch(b".".join(labels)):
        return 0
    following = text[end : end + 2]
    if following[:1] in (b"(", b"[", b"-", b"_", b"@") or _REMOTE_PATH.match(following):
        return 0  # a call, an index, a remote path as in user@host:path
    if top in _ATTRIBUTES and len(labels) == 2:
        return 0
    if len(local) == 1 and len(labels[0]) == 1 and len(labels) == 2 and top not in (b"com", b"org", b"net"):
        return 0  # a@b.T, x@w.it: matrices
    if all(label.isdigit() for label in labels[:-1]) and (len(labels) > 2 or len(labels[0]) < 3):
        return 0  # package@1.0.dev
    return end


# -- IP -------------------------------------------------------------------------------------------------------------

_IPV4 = re.compile(rb"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)(?!\.\d)")
_DOTTED = re.compile(rb"\.\d{1,3}\.\d{1,3}\.\d")  # a literal that the regular expression engine finds fast
_IPV6 = re.compile(rb"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:])")


def is_public(address: bytes) -> bool:
    """Whether an address is valid and reachable from anywhere: neither private nor reserved, as for documentation."""
    try:
        parsed = ipaddress.ip_address(address.decode())
        return parsed.is_global and not parsed.is_multicast
    except ValueError:
        return False


_VERSION_WORDS = word_pattern(
    "version versions v ver vers release releases rel build firmware driver section sections sec § chapter clause "
    "figure fig table appendix revision rev update upgrade patch kernel package plugin api sdk java chrome firefox "
    "versión versão versione versie wersja wersji verze verzió versiune версия версии версию версія версії sürüm "
    "قسم القسم الفصل abschnitt kapitel sección seção sezione paragraf пункт раздел glava إصدار",
    "版本 固件 驱动 章节 第 节 章 バージョン 버전 เวอร์ชัน",
)
_ADDRESS_WORDS = word_pattern(
    "ip ips ipv4 addr address addresses host hosts hostname ping dns nameserver nameservers gateway router proxy ssh "
    "telnet inet peer src dst whois subnet netmask rhost adresse ip-adresse dirección endereço indirizzo адрес адреса",
    "地址 主机 网关 服务器 アドレス 주소",
)
_BEFORE_VERSION = re.compile(rb"(?:[\w)\]][-_]|[A-Za-z0-9]/|[=<>~^!]=[ ]?|[<>~^][ ]?|\S\+)\Z")
_AFTER_VERSION = re.compile(rb"[+_-]\w|\.[A-Za-z]|\.x\b")
_PORT_OR_PREFIX = re.compile(rb":\d{2,5}\b|/\d{1,2}\b| - \S{1,40} \[")
_SMALL = 32  # of public addresses drawn at random, one in 140 has three octets below; of versions, nearly all


def addresses_4(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of public IPv4 addresses that are no versions, section numbers and the like."""
    for place in _DOTTED.finditer(text):
        start = place.start()
        while start > 0 and place.start() - start < 3 and 48 <= text[start - 1] <= 57:
            start -= 1
        match = _IPV4.match(text, start)
        if match is not None and is_public(match.group()) and not _is_version(text, *match.span()):
            yield match.span()


def _is_version(text: bytes, start: int, end: int) -> bool:
    if _BEFORE_VERSION.search(text, max(0, start - 3), start) or _AFTER_VERSION.match(text, end):
        return True
    before, after = beside(text, start, end)
    named = list(_ADDRESS_WORDS.finditer(before)), list(_VERSION_WORDS.finditer(before[-30:]))
    if named[1] and (not named[0] or _NEXT.fullmatch(before[-30:], named[1][-1].end())):
        return True
    if _VERSION_WORDS.match(after.lstrip()):
        return True
    octets = [int(octet) for octet in text[start:end].split(b".")]
    if sum(octet < _SMALL for octet in octets) < 3 and octets[3] != 0:
        return False
    if _PORT_OR_PREFIX.match(text, end) or text[max(0, start - 3) : start] == b"://" or before[-1:] == "@":
        return False
    if not before.strip(" #*\t") and _HEADING.match(after):
        return True
    return not (named[0] or _has_address(before) or _has_address(after) or _ADDRESS_WORDS.match(after.lstrip(" (,")))


_NEXT = re.compile(r"[\s:.#(]{0,3}")
_HEADING = re.compile(r"\.?\s+[^\W\d]")


_QUAD = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")


def _has_address(beside_it: str) -> bool:
    """Whether another address stands on the line that is no version: private, or with octets that versions lack."""
    return any(sum(int(octet) >= _SMALL for octet in quad.split(".")) >= 2 for quad in _QUAD.findall(beside_it))


def addresses_6(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of public IPv6 addresses, which are in 2000::/3."""
    for match in _IPV6.finditer(text):
        address = match.group()
        if address.endswith(b":") and not address.endswith(b"::"):
            address = address[:-1]
        if is_public(address):
            yield match.start(), match.start() + len(address)
