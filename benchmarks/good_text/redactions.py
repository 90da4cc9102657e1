"""Whether a redaction is right: a judge for technical text, where most of what looks like personal data is none.

Rules say what is an address or a number in truth; what they cannot know was read and is listed. They know nothing of
how the cleaning finds them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

import phonenumbers

from benchmarks.good_text.differences import Change
from benchmarks.good_text.kinds import PLACEHOLDER

CONTEXT = 60
"""Characters on both sides of a redaction that tell what it was."""


@dataclass(frozen=True)
class Redaction:
    """One place. kind: what stands there now; text: what stood there; before, after: what surrounds it."""

    kind: str
    text: str
    before: str
    after: str


def redactions(change: Change, text: str) -> list[Redaction]:
    """Return the redactions of one change of `redact_pii`, from left to right."""
    names = PLACEHOLDER.findall(change.put)
    if not names:
        return [_redaction(change.put.strip(), text, change.start, change.end)]
    pattern = "(.+?)".join(map(re.escape, PLACEHOLDER.split(change.put)))
    match = re.fullmatch(pattern, change.removed, re.DOTALL)
    if match is None:  # the places of several are not to be told apart
        return [_redaction(name, text, change.start, change.end) for name in names]
    return [
        _redaction(name, text, change.start + match.start(group), change.start + match.end(group))
        for group, name in enumerate(names, 1)
    ]


def _redaction(name: str, text: str, start: int, end: int) -> Redaction:
    return Redaction(name, text[start:end], text[max(0, start - CONTEXT) : start], text[end : end + CONTEXT])


# -- the judge --------------------------------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?:%3C|mailto:)?[\w.!#$%&'*+/=?^`{|}~-]+@(?:[\w-]+\.)+(?:[a-z]{2}|com|org|net|edu|gov|mil|int|info|name|dev|"
    r"cloud|company|online|world|life|email)",
    re.IGNORECASE,
)
_SERVICE_USERS = ("git", "svn", "hg", "anonymous", "root")
NO_EMAILS = frozenset(
    {
        # ciphers of OpenSSH, units of systemd, add-ons of Firefox
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256-etm@openssh.com",
        "systemctl@cups.service",
        "my-extension@mozilla.org",
        "favourite-colour-examples@mozilla.org",
        "favourite-colour-examples@mozilla.org.json",
        "great_app@developers.company",
        # two in one
        "user@machine.example.comuser",
        "machine.falcot.comjean@falcot.com",
        "jean@machine.falcot.comjean",
    }
)
"""What is made like an address and is none."""
NUMBERS = frozenset({"444-44-4444", "555-55-5555", "865-555-6502"})
"""Social security and telephone numbers of examples, where nothing beside them says what they are."""
_SECTION = re.compile(
    r"(?:section|sections|abschnitt|§|第|章节|节|раздел[а-я]*|قسم|sección|chapitre|version|v)[\s\-]*\Z", re.I
)
_SUBSCRIBER = re.compile(r"ssn|social|identi|ident|身份|cpf|dni|nif|passport|pesel|personnummer", re.IGNORECASE)
_CARD = re.compile(r"card|visa|karte|carte|tarjeta|iban|konto|account|卡号|银行", re.IGNORECASE)
_TELEPHONE = re.compile(r"tel|phone|fax|mobil|call|anruf|handy|电话|手机|电邮|☎|telefon|tél|whatsapp", re.IGNORECASE)
_SECRET = re.compile(r"eyJ|AKIA|ASIA|AIza|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|sk-|hf_|-----BEGIN")


def is_right(found: Redaction) -> bool:
    """Whether what was redacted is of the kind that it was called."""
    name = found.kind.strip("[]").lower()
    if "mail" in name:
        return _is_email(found)
    if name.startswith("ip"):
        return _is_address(found)
    if "phone" in name or "tel" in name:
        return _is_telephone(found)
    if "secret" in name or "key" in name or "token" in name:
        return _SECRET.match(found.text) is not None
    if found.text in NUMBERS:
        return True
    pattern = _CARD if "card" in name or "iban" in name else re.compile(f"{_SUBSCRIBER.pattern}|{_CARD.pattern}", re.I)
    return pattern.search(found.before[-40:] + found.after[:20]) is not None


def _is_email(found: Redaction) -> bool:
    """A local part and a domain; not user@host of a command or an address of the web, not code."""
    local = found.text.rpartition("@")[0]
    remote = found.after[:1] == ":" and found.after[1:2].strip() != ""
    in_url = re.search(r"://[^\s/]*\Z", found.before) is not None
    return (
        _EMAIL.fullmatch(found.text) is not None
        and found.text not in NO_EMAILS
        and not (remote or in_url or local in _SERVICE_USERS)
        and found.after[:1] not in ("(", "[")
    )


def _is_address(found: Redaction) -> bool:
    """A public address. The numbers of sections and versions have small parts, and stand behind a word for them."""
    try:
        address = ipaddress.ip_address(found.text)
    except ValueError:
        return False
    if address.version == 6:
        return "::" in found.text or sum(len(part) == 4 for part in found.text.split(":")) >= 3
    if _SECTION.search(found.before[-16:]) or re.search(r"[A-Za-z]/\Z|[=<>~^]=?\s?\Z", found.before[-4:]):
        return re.search(r"""[\w-]=["']?\Z""", found.before) is not None  # of an option or a variable
    as_host = re.match(r":\d{2,5}\b|/\d{1,2}\b", found.after) is not None
    return as_host or max(address.packed) > 45 or found.text in ("8.8.8.8", "1.1.1.1", "1.2.3.4", "1.2.3.5")


def _is_telephone(found: Redaction) -> bool:
    """A number that the numbering plans know, written with its country's code or beside a word for telephones."""
    named = _TELEPHONE.search(found.before + found.after[:20]) is not None
    if found.text.lstrip("(").startswith(("+", "00")) and (named or " " in found.text or "-" in found.text):
        try:
            number = phonenumbers.parse(re.sub(r"^\(?00", "+", found.text))
        except phonenumbers.NumberParseException:
            return False
        return phonenumbers.is_possible_number(number)
    return named or found.text in NUMBERS or re.fullmatch(r"\(?\d{3}\)?[ .-]555[ .-]\d{4}", found.text) is not None
