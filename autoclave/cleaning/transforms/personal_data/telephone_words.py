"""Words beside a number that say what it is: a telephone number, or anything but one."""

from __future__ import annotations

import functools
import re

import numpy as np

from autoclave.cleaning.transforms.personal_data.words_beside import (
    NO_LETTER_AFTER,
    NO_LETTER_BEFORE,
    alternatives,
    word_pattern,
)

# Stand before a telephone number, or right behind it. Collected from contact pages in these languages.
_WORDS = """
tel telephone telephones phone phones telefax fax faxes facsimile tel-no cellphone hotline helpline landline
whatsapp viber
voicemail switchboard pager toll-free tollfree freephone freecall
telefon telefonnummer telefonnr fon mobiltelefon handynummer rufnummer durchwahl festnetz mobilfunk telefonisch
mobilnummer mobilnr
tél téléphone téléphonique télécopie télécopieur gsm
teléfono telefono teléfonos tfno tfn tlf tlfno móvil movil celular celulares
telefone telefones telemóvel telemovel fone fones
cellulare telefonico
telefoon telefoonnummer mobiel
komórka komórkowy infolinia faks telefonu telefoniczny
telefonní
puhelin puhelinnumero puh matkapuhelin
telefonszám mobiltelefonszám
telefonumuz
тел телефон телефону телефона телефоны телефонів моб факс мобильный мобільний горячая ватсап
τηλ τηλέφωνο τηλέφωνα κινητό φαξ
هاتف الهاتف تلفون جوال الجوال موبايل فاكس واتساب تلفن موبایل همراه فکس
טלפון טל נייד פקס
फोन फ़ोन मोबाइल दूरभाष टेलीफोन
telepon telp ponsel
điện thoại đt sđt
"""
# Words of other uses besides: they count as much where nothing but signs, or "number", is between them and a number.
_LABELS = "ph hp kom cell cel mobile mob mobil handy portable sms telefonicamente cep t f p m call dial ring text"
_LABELS_ALONE = frozenset(("mobile", "mob", "mobil", "handy", "portable", "sms"))  # need no colon
_NUMBER = re.compile(r"[^\w]*(?:(?:phone|no|nr|number|numbers|is|us|me|at|on|now|free)\b[^\w]*){0,3}\Z")
# Verbs and nouns of many uses: they count beside what has the form of a telephone number.
_WEAK = """
call calls calling dial dialing dialling ring ringing text texting contact contacts reach cell mobile portable handy
sms
anrufen anruf rufen erreichbar erreichen kontakt
appelez appeler appel joindre contactez contact numéro
llame llamar llámenos llamando contacto número
ligue ligar contato contacto
chiami chiamare chiamate chiamata contatti contattare numero
bel bellen
zadzwoń zadzwonić dzwoń dzwonić kontakt
volejte zavolejte ringa ring ringe kontakta soita soittaa hívja
ara arayın arayabilirsiniz iletişim
звоните звонить позвоните звонок связь связи номер дзвоніть зателефонуйте номером номеру
καλέστε اتصل للاتصال تماس שיחה חייגו संपर्क hubungi gọi liên
"""
# Scripts that put no spaces between words.
_UNSPACED = """
电话 電話 手机 手機 传真 傳真 热线 熱線 致电 致電 拨打 撥打 来电 來電 座机 联系 聯繫 联络 聯絡 客服 咨询 微信
携帯 ファックス ファクス お問い合わせ お問合せ フリーダイヤル 連絡
전화 휴대폰 핸드폰 팩스 연락처 문의 โทร มือถือ แฟกซ์ โทรศัพท์
"""

# Right before a number that is none.
_OTHER_BEFORE = """
bankgiro plusgiro postgiro isbn issn doi bp box pobox postfach apartado cvr org.nr orgnr kvk btw msig 图字 cep
pmid pmcid arxiv orcid asin upc ean sku isrc oclc lccn cas rfc pep cve bug issue ticket pr pull commit rev
revision version versions v ver release build section sec chapter page pages pp p figure fig table line lines row rows
column id uid gid pid port ports timestamp time date year years range order invoice serial model part patent case
file docket article
vol volume bytes size offset address population seed hash checksum md5 sha key account konto kontonummer iban bic vat
eq equation zip postal postcode plz ust-idnr hrb nip pesel regon cnpj cpf inn ogrn инн огрн кпп бик окпо siret siren
rcs nif cif
编号 序号 版本 邮编 郵編 第 共 约 为 等于 大小
"""
# Right behind a number that is none: units, currencies, what is counted.
_OTHER_AFTER = """
% ‰ ° € $ £ ¥ ₽ ₹ ₩ zł kč kr kr. lei din ft
b kb mb gb tb pb kib mib gib tib byte bytes bit bits octets octet o ko mo go ms µs us ns s sec secs second seconds
min mins
minute minutes h hour hours day days week weeks month months year years hz khz mhz ghz bps kbps mbps gbps
degree degrees grad mm cm m km m² km² m2 km2 ha g kg t l ml w kw mw gw v kv a ma px pt dpi
eur euro euros usd gbp cad aud chf jpy cny rmb inr rub uah pln czk huf sek nok dkk dollars dollar pounds yen yuan
rupees won
rubles zloty zlotych złotych korun forint forinti lei kronor kroner crore lakh million millions billion billions
trillion
thousand mln mrd mio tys tis млн млрд тыс руб рублей рубля грн тонн человек штук раз
people persons inhabitants residents users members items elements entries records rows tokens words documents lines
files
samples parameters times pixels operations iterations requests votes copies units points views downloads citizens
einwohner einwohnern stück dateien zeilen zeichen personen jahre habitants personnes ans fichiers lignes habitantes
personas
años abitanti persone anni habitantes pessoas anos inwoners mieszkańców osób obyvatel invånare asukasta lakosú kişi
元 円 日元 万 億 亿 人 个 個 字节 字 位 秒 年 次 件 条 行 名 户 吨 米 公里 원 명 개 回 台 本
"""


_BEFORE_NUMBER = r"(?: n[ro°º]?\.?| number| №)?[\s:.#=(\-]{0,3}\Z"


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    return (
        word_pattern(_WORDS, _UNSPACED),
        word_pattern(_LABELS),
        word_pattern(_WEAK),
        re.compile(f"(?:{NO_LETTER_BEFORE}(?:{alternatives(_OTHER_BEFORE)})){_BEFORE_NUMBER}"),
        re.compile(f"\\s?(?:{alternatives(_OTHER_AFTER)}){NO_LETTER_AFTER}"),
    )


@functools.cache
def prefix_table() -> np.ndarray:
    """Return which hashes of four leading bytes the words have, bool [8192]; `scan._has_word` looks them up."""
    table = np.zeros(8192, dtype=np.bool_)
    words = [*_WORDS.split(), *_LABELS.split(), *_WEAK.split(), *_UNSPACED.split()]
    for word in {*words, *map(str.capitalize, words), *map(str.upper, words)}:
        key = 0
        for sign in word.encode()[:4].ljust(4, b"\0"):
            key = key * 31 + (sign | 32 if 65 <= sign < 0x80 else sign if sign >= 0x80 else 0)
        table[key % len(table)] = True
    return table


STRONG, WEAK, NONE, OTHER, UNIT = 2, 1, 0, -1, -2

# Between a word and its number: few words, and no number but others of the same list.
_LIST = re.compile(r"[\d\s()+./,;:|，、；–-]*(?:or|oder|ou|o|y|e|i|and|und|et|и|或|及)?[\s]*")
_MOST_WORDS = 4


def evidence(before: str, after: str) -> int:
    """Return what the words around a number say: STRONG or WEAK for a telephone, OTHER for a name of something else
    before it, UNIT for a unit behind it, or NONE.

    before, after: the text of the line (and of a short line above) next to the number, in lower case.
    """
    strong, label, weak, other, unit = _patterns()
    if unit.match(after):
        return UNIT
    if other.search(before):
        return OTHER
    words = list(strong.finditer(before))
    if words:
        between = before[words[-1].end() :]
        near = not _DIGIT.search(between) and len(between.split()) <= _MOST_WORDS
        return STRONG if near or _LIST.fullmatch(between) else WEAK
    if strong.match(after.lstrip(" \t([,;:-")):
        return STRONG
    labels = list(label.finditer(before))
    if labels and _NUMBER.fullmatch(before, labels[-1].end()):
        colon = before[labels[-1].end() :].lstrip(". ")[:1] == ":"
        if colon or labels[-1].group() in _LABELS_ALONE:
            return STRONG
    return WEAK if weak.search(before) else NONE


_DIGIT = re.compile(r"\d")
