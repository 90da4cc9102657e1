"""Pages whose text is known, in many encodings: declared rightly, not at all, wrongly, twice; and damaged."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Sentences of our own, about as long as a short paragraph.
SENTENCES = {
    "en": "The café’s owner said: “We can’t open before noon – not with these crêpes.” It cost £5, or €6 with jam; she "
    "left a naïve résumé on the table… and went.",
    "fr": "Après l’été, la forêt était déjà rouge; où qu’on allât, des élèves ramassaient des châtaignes. « Ça suffit », "
    "disait la maîtresse, mais le garçon n’écoutait pas.",
    "de": "Die Tür klemmte, weil über Nacht Schnee gefallen war. „Schön“, sagte die Großmutter, „dann bleiben wir heute "
    "zu Hause, heizen den Ofen und hören alte Märchen.“",
    "es": "El niño soñó que la montaña hablaba. ¿Quién eres?, preguntó. ¡Soy la mañana!, respondió ella, y el corazón "
    "del pequeño latió más rápido que un tambor de fiesta.",
    "pt": "Não há pão na padaria hoje, porque o forno avariou. A padeira, já cansada, pediu desculpa às crianças e "
    "ofereceu-lhes maçãs; à noite, os irmãos irão à aldeia.",
    "it": "Perché la città è più bella dopo la pioggia? La libertà, disse l’uomo, è così: la perdi ogni lunedì e la "
    "ritrovi già il venerdì, seduta al caffè.",
    "sv": "Björnen gick över ån för att äta blåbär. Efter några år växte skogen så hög att även örnen måste söka en ny "
    "väg; då var sången också tystare på ängen.",
    "da": "På øen blæste det så stærkt, at bådene måtte blive i havn. Den ældste fisker åbnede døren og råbte, at "
    "kaffen var færdig, og så gik de alle indenfor.",
    "fi": "Äiti löysi pöydältä kirjeen, jossa pyydettiin tulemaan heti mökille. Järvi oli jäässä, eikä venettä tarvittu; "
    "hän käveli yön yli tähtien alla.",
    "is": "Það rigndi alla nóttina og áin flæddi yfir túnið. Bóndinn sótti hestana, en þeir vildu ekki fara; þá söng "
    "hann fyrir þá gamla vísu og þeir fylgdu honum.",
    "pl": "Zażółć gęślą jaźń – mówiła babcia, gdy ktoś źle pisał. Później siadaliśmy pod wiśnią, piliśmy świeży sok i "
    "liczyliśmy łódki, które płynęły ku śluzie.",
    "cs": "Příliš mnoho sněhu napadlo přes noc, a tak děti zůstaly doma. Dědeček řekl: „Pojďte ke stolu, uvařím čaj a "
    "budu vyprávět, jak jsme kdysi přešli řeku.“",
    "sk": "Keď sme prišli do dediny, všetky dvere boli zatvorené. Až večer nám starý mlynár otvoril, ponúkol chlieb, "
    "ľad do čaju a povedal, kde žije jeho dcéra.",
    "hu": "Az őszi erdőben már csak a szél zúgott, és a fű is deres volt. Öt öreg tölgy állt a tó körül; alattuk ült a "
    "fiú, és könyvet írt az apjáról, hűvös ujjakkal.",
    "sl": "Čez reko vodi ozek most, ki ga je zgradil moj ded. Vsako jesen prideva tja, sedeva na klop in poslušava žabe; "
    "šele pozno zvečer se vrneva domov.",
    "ro": "Într-o dimineaţă de iarnă, bătrânul şi-a luat căciula şi a plecat spre oraş. Ştia că drumul e lung, dar "
    "voia să-şi vadă nepoţii înainte de sărbători.",
    "lv": "Vecāmāte teica, ka šogad būs gara ziema, jo bērziem lapas krīt vēlu. Mēs sagatavojām malku, ievārījām "
    "ābolus un gaidījām pirmo sniegu pie loga.",
    "lt": "Žiemą ežeras užšąla, ir vaikai čiuožia iki pat tamsos. Močiutė šaukia juos vakarienės, bet jie dar nori "
    "pamatyti, kaip šviečia mėnuo virš eglių.",
    "et": "Üle jõe viib kitsas sild, mille ehitas minu isa. Sügisel käime seal õunu müümas; õhtul istume köögis, joome "
    "teed ja räägime, mida täna nägime.",
    "tr": "Yağmur dinince çocuklar bahçeye koştu. Küçük kız, ağacın altında ıslak bir kuş buldu; şalına sardı, eve "
    "götürdü ve annesine gösterdi. İki gün sonra kuş uçtu.",
    "eo": "La maljunulo sidis ĉe la fenestro kaj rigardis, kiel la neĝo falas sur la ĝardenon. Ŝia letero kuŝis sur la "
    "tablo; ĵus li legis ĝin, kaj nun li aŭdis la horloĝon.",
    "ru": "Утром дед открыл окно и увидел, что снег уже растаял. Он позвал внука, и они пошли к реке проверить лодку: "
    "доски рассохлись, но весло было цело.",
    "uk": "Щороку ми їздили до бабусі, яка жила біля лісу. Вона пекла хліб, розповідала казки й учила нас, як знайти "
    "гриби під старою ялиною; ґанок пахнув м’ятою.",
    "bg": "Когато слънцето залезе, щъркелът се върна в гнездото си над църквата. Децата го гледаха мълчаливо, а после "
    "изтичаха към къщи, защото вечерята ги чакаше.",
    "sr": "Стари млин на реци више не меље жито, али деца и даље долазе да слушају воду. Чувар им прича како је некада "
    "овде живео човек с белим коњем.",
    "el": "Το πρωί η γιαγιά άνοιξε το παράθυρο και είδε τη θάλασσα ήσυχη. Φώναξε τα παιδιά, έβαλε ψωμί στο καλάθι και "
    "όλοι μαζί κατέβηκαν στην παραλία.",
    "he": "בבוקר פתח הסבא את החלון וראה שהגשם נפסק. הוא קרא לנכדים, והם הלכו יחד אל השוק לקנות לחם, זיתים ודבש לארוחה "
    "של ערב החג.",
    "ar": "فتح الجد النافذة في الصباح فرأى أن المطر قد توقف. نادى أحفاده وذهبوا معا إلى السوق ليشتروا الخبز والزيتون "
    "والعسل قبل أن تغلق الدكاكين أبوابها.",
    "th": "ตอนเช้าคุณตาเปิดหน้าต่างแล้วเห็นว่าฝนหยุดตกแล้ว จึงเรียกหลานมาช่วยกันซ่อมเรือลำเก่าที่ริมแม่น้ำ ก่อนจะไปตลาดซื้อปลาและผักมาทำอาหารเย็น",
    "vi": "Buổi sáng, ông mở cửa sổ và thấy mưa đã tạnh. Ông gọi các cháu ra bờ sông sửa chiếc thuyền cũ, rồi cả nhà "
    "cùng đi chợ mua cá và rau để nấu bữa tối.",
    "zh": "早上，爷爷打开窗户，看见雨已经停了。他叫孙子一起到河边去修那条旧船，木板虽然干裂了，但是桨还很结实。中午他们在树下吃饭，说起从前过河的故事。",
    "zh-Hant": "早上，爺爺打開窗戶，看見雨已經停了。他叫孫子一起到河邊去修那條舊船，木板雖然乾裂了，但是槳還很結實。中午他們在樹下吃飯，說起從前過河的故事。",
    "ja": "朝、おじいさんが窓を開けると、雨はもう止んでいた。孫を呼んで川へ行き、古い舟を直すことにした。板は乾いて割れていたが、カヌーの櫂はまだ丈夫だった。",
    "ko": "아침에 할아버지가 창문을 열어 보니 비가 이미 그쳐 있었다. 손자를 불러 강가로 가서 낡은 배를 고치기로 했다. 판자는 말라서 갈라졌지만 노는 아직 튼튼했다.",
}
WESTERN = ("cp1252", "iso8859_15", "mac_roman")
CENTRAL = ("cp1250", "iso8859_2", "mac_latin2")
BALTIC = ("cp1257", "iso8859_13", "iso8859_4")
LEGACY = {
    **dict.fromkeys(("fr", "de", "es", "pt", "it", "sv", "da", "fi"), WESTERN),
    "en": ("cp1252", "mac_roman"), "is": ("cp1252", "iso8859_15"),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "sl"), CENTRAL),
    "ro": ("cp1250", "iso8859_2"),
    **dict.fromkeys(("lv", "lt", "et"), BALTIC),
    "tr": ("cp1254", "mac_turkish"), "eo": ("iso8859_3",),
    "ru": ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic"),
    "uk": ("cp1251", "koi8_u", "mac_cyrillic"), "bg": ("cp1251", "iso8859_5"), "sr": ("cp1251", "iso8859_5"),
    "el": ("cp1253", "iso8859_7", "mac_greek"), "he": ("cp1255", "iso8859_8"), "ar": ("cp1256", "iso8859_6"),
    "th": ("cp874",), "vi": ("cp1258",),
    "zh": ("gbk", "gb18030", "hz"), "zh-Hant": ("big5",),
    "ja": ("shift_jis", "euc_jp", "iso2022_jp"), "ko": ("euc_kr", "cp949", "iso2022_kr"),
}  # fmt: skip
LABELS = {
    "mac_roman": "macintosh", "mac_latin2": "x-mac-ce", "mac_turkish": "x-mac-turkish", "mac_greek": "x-mac-greek",
    "mac_cyrillic": "x-mac-cyrillic", "koi8_r": "koi8-r", "koi8_u": "koi8-u", "cp866": "ibm866", "cp874": "tis-620",
    "hz": "hz-gb-2312", "iso2022_jp": "iso-2022-jp", "iso2022_kr": "iso-2022-kr", "euc_jp": "euc-jp",
    "euc_kr": "euc-kr", "cp949": "ks_c_5601-1987", "gbk": "gb2312",
}  # fmt: skip
SEVEN_BIT = ("hz", "iso2022_jp", "iso2022_kr")
_PLAIN = str.maketrans({"’": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "…": "...", "€": "EUR", "œ": "oe"})


@dataclass(frozen=True)
class Page:
    """Bytes of a page, the header's charset, and strings that its text must hold (NFC); kind and name say what it is."""

    kind: str
    name: str
    data: bytes
    header: str | None
    wanted: tuple[str, ...]


def label_of(encoding: str) -> str:
    if encoding in LABELS:
        return LABELS[encoding]
    return encoding.replace("iso8859_", "iso-8859-").replace("cp125", "windows-125")


def encodable(text: str, encoding: str) -> str:
    """The text without what the encoding lacks; tones by themselves where it has them so."""
    if encoding == "cp1258":
        text = _split_tones(text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN)
    return text.encode(encoding, "ignore").decode(encoding)


def _split_tones(text: str) -> str:
    tones = "\u0300\u0301\u0303\u0309\u0323"
    signs = []
    for sign in text:
        parts = unicodedata.normalize("NFD", sign)
        tone = "".join(part for part in parts if part in tones)
        signs.append(unicodedata.normalize("NFC", "".join(part for part in parts if part not in tones)) + tone)
    return "".join(signs)


def html(text: str, meta: str | None = None, head: str = "") -> str:
    """A page with markup, a style and a script in ASCII around a text."""
    declaration = f'<meta http-equiv="Content-Type" content="text/html; charset={meta}">\n' if meta else ""
    return (
        f"<!DOCTYPE html>\n<html><head>\n{head}{declaration}<title>{text[:24]}</title>\n"
        '<style>body{margin:0;font-family:"Arial"}</style><script>var a=1;if(a<2){document.write("x")}</script>\n'
        f'</head>\n<body class="page"><div id="nav"><a href="/index.html">Home</a> | <a href="/a.html">About</a></div>\n'
        f'<div class="main"><h1>{text[:24]}</h1>\n<p>{text}</p>\n</div><div>Copyright 2004 example.org</div></body></html>'
    )


def page(kind: str, name: str, text: str, encoding: str, header: str | None = None, meta: str | None = None) -> Page:
    text = encodable(text, encoding)
    return Page(kind, name, html(text, meta).encode(encoding), header, (unicodedata.normalize("NFC", text),))


def declared(texts: dict[str, str]) -> Iterator[Page]:
    """Each text in each encoding of its language, declared by the header or the page, not at all, and wrongly."""
    for language, text in texts.items():
        for encoding in (*LEGACY[language], "utf-8"):
            name, label = f"{language} {encoding}", label_of(encoding)
            yield page("header right", name, text, encoding, header=label)
            yield page("meta right", name, text, encoding, meta=label)
            yield page("none", name, text, encoding)
            yield page("header iso-8859-1, meta right", name, text, encoding, header="ISO-8859-1", meta=label)
            wrong = "windows-1251" if language in ("zh", "zh-Hant", "ja", "ko", "fr", "de") else "gb2312"
            if encoding in SEVEN_BIT:
                continue
            yield page("header iso-8859-1", name, text, encoding, header="ISO-8859-1")
            yield page("header utf-8", name, text, encoding, header="utf-8")
            yield page("header wrong", name, text, encoding, header=wrong)
            yield page("meta wrong", name, text, encoding, meta=wrong)
            yield page("header right, meta wrong", name, text, encoding, header=label, meta=wrong)
            yield page("meta utf-16", name, text, encoding, meta="utf-16")


def unicode_forms(texts: dict[str, str]) -> Iterator[Page]:
    """UTF-16 and UTF-32 with a mark, with a header, with neither; a mark before UTF-8; pages and plain text."""
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE, "utf-32-le": codecs.BOM_UTF32_LE}
    marks |= {"utf-32-be": codecs.BOM_UTF32_BE, "utf-8": codecs.BOM_UTF8}
    for language, text in texts.items():
        for encoding, mark in marks.items():
            for shape, content in (("page", html(text)), ("plain", text)):
                data, name, wanted = content.encode(encoding), f"{language} {encoding} {shape}", (text,)
                yield Page("unicode: mark", name, mark + data, None, wanted)
                yield Page("unicode: mark, header wrong", name, mark + data, "iso-8859-1", wanted)
                yield Page("unicode: header", name, data, "utf-16" if "16" in encoding else encoding, wanted)
                yield Page("unicode: nothing", name, data, None, wanted)


def damaged(texts: dict[str, str]) -> Iterator[Page]:
    """A stray byte, a cut in a character, a NUL, C1 controls, a comment in another encoding, a mark before another."""
    for language, text in texts.items():
        for encoding in (LEGACY[language][0], LEGACY[language][-1], "utf-8"):
            if encoding == "hz":
                continue
            known = encodable(text, encoding)
            nfc = unicodedata.normalize("NFC", known)
            data, name = html(known).encode(encoding), f"{language} {encoding}"
            header = label_of(encoding) if language in ("en", "vi") or encoding in SEVEN_BIT else None
            place = data.rindex(b"\n</div>")
            yield Page("damage: stray byte", name, data[:place] + b" \xff " + data[place:], header, (nfc,))
            body = known.encode(encoding)
            for kind, length, rest in (("cut", len(body) // 2, b""), ("cut inside", len(body) * 2 // 3, data[place:])):
                left = unicodedata.normalize("NFC", body[:length].decode(encoding, "ignore"))
                yield Page(f"damage: {kind}", name, data[:place] + body[:length] + rest, header, (left[:-1],))
            yield Page("damage: NUL", name, data.replace(b"Home", b"Ho\x00me"), header, (nfc, "Home"))
            comment = "<!-- \u6b22\u8fce\u5149\u4e34\u672c\u7ad9 -->".encode("gbk")
            yield Page("damage: comment", name, data.replace(b"<body", comment + b"<body"), header, (nfc,))
            yield Page("damage: utf-8 mark", name, codecs.BOM_UTF8 + data, None, (nfc,))
    for language in ("en", "fr", "de"):
        text = encodable(texts[language], "cp1252")
        controls = text.encode("cp1252").decode("latin-1")
        yield Page("damage: C1", f"{language} bytes", html(text).encode("cp1252"), "iso-8859-1", (text,))
        yield Page("damage: C1", f"{language} utf-8", html(controls).encode(), "utf-8", (text,))


def all_pages(texts: dict[str, str]) -> Iterator[Page]:
    """All pages of these texts, {language: text}."""
    yield from declared(texts)
    yield from unicode_forms(
        {language: texts[language] for language in ("en", "fr", "pl", "ru", "ar", "th", "zh", "ja", "ko")}
    )
    yield from damaged(texts)
