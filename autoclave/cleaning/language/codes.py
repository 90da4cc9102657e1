"""Codes of languages: ISO 639-1 where a language has one, as recipes, labels and the ledger name it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from autoclave.cleaning.language.limits import language_entries
from autoclave.errors import RecipeError

UNDETERMINED = "und"

LONGEST_TAG = 35
"""Characters of a language tag that every BCP 47 program takes (RFC 5646, 4.4.1); what is longer is no tag."""

_INDIVIDUAL_CODES = (
    "afr:af amh:am ara:ar arb:ar asm:as ast:ast aze:az azj:az bel:be ben:bn bod:bo bos:bs bre:br bul:bg cat:ca "
    "ces:cs cmn:zh zho:zh cym:cy dan:da deu:de ell:el eng:en epo:eo est:et ekk:et eus:eu fao:fo fas:fa pes:fa "
    "fin:fi fra:fr fry:fy gla:gd gle:ga glg:gl guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu hye:hy ibo:ig "
    "ind:id isl:is ita:it jav:jv jpn:ja kan:kn kat:ka kaz:kk khm:km kin:rw kir:ky kmr:ku kor:ko lao:lo lat:la "
    "lav:lv lvs:lv lit:lt ltz:lb mal:ml mar:mr mkd:mk mlg:mg plt:mg mlt:mt mon:mn khk:mn mri:mi msa:ms zsm:ms "
    "mya:my nep:ne npi:ne nld:nl nno:nn nob:no nor:no oci:oc ori:or ory:or pan:pa pol:pl por:pt pus:ps pbt:ps "
    "ron:ro rus:ru san:sa sin:si slk:sk slv:sl sna:sn snd:sd som:so spa:es sqi:sq als:sq srp:sr sun:su swa:sw "
    "swh:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl fil:tl tha:th tuk:tk tur:tr uig:ug ukr:uk urd:ur uzb:uz "
    "uzn:uz vie:vi xho:xh yid:yi ydd:yi yor:yo zul:zu "
    "arg:an ava:av bak:ba bho:bh che:ce cos:co chv:cv div:dv grn:gn gug:gn glv:gv ina:ia ile:ie ido:io kpv:kv koi:kv "
    "cor:kw lim:li oss:os quz:qu quy:qu roh:rm srd:sc hbs:sh vol:vo wln:wa"
)
ISO_639_3 = dict(pair.split(":") for pair in _INDIVIDUAL_CODES.split())
"""ISO 639-3 codes of individual languages, as GlotLID and OpenLID use them -> the code that recipes use."""
_BIBLIOGRAPHIC_CODES = (
    "alb:sq arm:hy baq:eu bur:my chi:zh cze:cs dut:nl fre:fr geo:ka ger:de gre:el ice:is mac:mk mao:mi may:ms per:fa "
    "rum:ro slo:sk tib:bo wel:cy"
)
_BIBLIOGRAPHIC = dict(pair.split(":") for pair in _BIBLIOGRAPHIC_CODES.split())
"""Codes of ISO 639-2/B, which libraries use, where those of ISO 639-3 are others."""
_OTHER_NAMES = {"nb": "no", "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro"}
"""Two-letter codes that lid.176 has under another one: written Norwegian, and those that ISO 639-1 has withdrawn."""
_NO_LANGUAGE = frozenset({"unknown", "none", "null", "other", "mul", "mis", "zxx"})
_TAG = re.compile(r"([a-z]{2,8})(?:[-_.@][a-z0-9]{1,12})*\Z")


def short_code(label: str) -> str:
    """Return the ISO 639-1 code of a model's label or an ISO 639-3 code, and the code itself where there is none."""
    code = label.removeprefix("__label__").split("_")[0]
    return ISO_639_3.get(code, code)


def declared_code(declared: str | None) -> str | None:
    """Return the code of a language as data sets declare it, None for what declares none.

    declared: a label of a model (eng_Latn), a code of ISO 639-1, -2 or -3 in any case, a tag of BCP 47 (zh-Hant-TW), a
    locale (pt_BR.UTF-8). A word of up to eight letters that is no known code stays as it is, in lower case: texts that
    are declared alike stay together.
    """
    if declared is None or len(declared) > LONGEST_TAG:
        return None
    found = _TAG.match(declared.strip().removeprefix("__label__").lower())
    if found is None or found.group(1) in _NO_LANGUAGE:
        return None
    code = found.group(1)
    return _OTHER_NAMES.get(code) or _BIBLIOGRAPHIC.get(code) or ISO_639_3.get(code, code)


def check_codes(codes: Iterable[str], where: str, identified: bool) -> None:
    """Raise RecipeError, beginning with `where`, for a code that no document can have, and say which it would be.

    identified: whether documents are labelled by the shipped model; else any code in its short form passes.
    """
    known = {*language_entries(), UNDETERMINED}
    for code in codes:
        short = declared_code(code)
        if short is None or short != code:
            meant = f"write '{short}'" if short in known else "use codes of ISO 639-1, as in en, zh"
            raise RecipeError(f"{where}: '{code}' is not how languages are labelled; {meant}")
        if identified and code not in known:
            close = difflib.get_close_matches(code, sorted(known), n=3)
            raise RecipeError(f"{where}: lid.176 knows no language '{code}'; close codes: {', '.join(close) or 'none'}")
