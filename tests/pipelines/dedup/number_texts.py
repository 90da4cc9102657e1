"""Documents of ten languages and six kinds that differ in numbers only, and news with the numbers that pages add.

Numbers are written as the language writes them: in its digits, with its separators, with a minus in front of some.
"""

from __future__ import annotations

import numpy as np

ASCII = "0123456789"
NEXT = "\u202f"  # the narrow space between groups of digits

DIGITS = {
    "en": (ASCII, ",", "."), "de": (ASCII, ".", ","), "fr": (ASCII, NEXT, ","), "ru": (ASCII, "\u00a0", ","),
    "ar": ("٠١٢٣٤٥٦٧٨٩", "٬", "٫"), "fa": ("۰۱۲۳۴۵۶۷۸۹", "٬", "٫"), "hi": ("०१२३४५६७८९", ",", "."),
    "th": ("๐๑๒๓๔๕๖๗๘๙", ",", "."), "zh": (ASCII, "", "."), "ja": ("０１２３４５６７８９", "，", "．"),
}  # fmt: skip
"""Digits from zero up, what groups thousands, and the decimal sign."""

REPORTS = {
    "en": "Station report. At noon the temperature was {} degrees, the pressure {} and the wind {} knots. Rain {} mm.",
    "de": "Bericht der Station. Um zwölf Uhr waren es {} Grad, der Luftdruck {} und der Wind {} Knoten. Regen {} mm.",
    "fr": "Bulletin de la station. À midi il faisait {} degrés, la pression {} et le vent {} nœuds. Pluie {} mm.",
    "ru": "Сводка станции. В полдень температура {} градусов, давление {}, ветер {} узлов. Дождь {} мм.",
    "ar": "تقرير المحطة. كانت الحرارة عند الظهر {} درجة والضغط {} والريح {} عقدة. المطر {} ملم.",
    "fa": "گزارش ایستگاه. دمای ظهر {} درجه، فشار {} و باد {} گره بود. باران {} میلی‌متر.",
    "hi": "केंद्र की रिपोर्ट। दोपहर में तापमान {} डिग्री, दबाव {} और हवा {} नॉट थी। वर्षा {} मिमी।",
    "th": "รายงานสถานี เที่ยงวันอุณหภูมิ {} องศา ความกดอากาศ {} ลม {} นอต ฝน {} มม.",
    "zh": "气象站报告。中午气温{}度，气压{}，风速{}节，降水{}毫米。",
    "ja": "観測所の報告。正午の気温は{}度、気圧は{}、風は{}ノット、雨は{}ミリ。",
}
ROWS = {
    "en": ("Price of good number {}: {} a piece", "Party list {}: {} votes", "Bus {} leaves at {}:{}"),
    "de": ("Preis der Ware Nummer {}: {} das Stück", "Liste {}: {} Stimmen", "Bus {} fährt um {}:{}"),
    "fr": ("Prix de l'article numéro {} : {} la pièce", "Liste {} : {} voix", "Le bus {} part à {} h {}"),
    "ru": ("Цена товара номер {}: {} за штуку", "Список {}: {} голосов", "Автобус {} в {}:{}"),
    "ar": ("سعر السلعة رقم {}: {} للقطعة", "القائمة {}: {} صوتا", "الحافلة {} في {}:{}"),
    "fa": ("قیمت کالای شماره {}: {} هر عدد", "فهرست {}: {} رأی", "اتوبوس {} ساعت {}:{}"),
    "hi": ("वस्तु संख्या {} का मूल्य: {} प्रति नग", "सूची {}: {} मत", "बस {} समय {}:{}"),
    "th": ("ราคาสินค้าหมายเลข {}: {} ต่อชิ้น", "บัญชี {}: {} คะแนน", "รถ {} เวลา {}:{}"),
    "zh": ("第{}号商品价格：每件{}元", "名单{}：{}票", "{}路公交车{}:{}发车"),
    "ja": ("品番{}の価格：一個{}円", "名簿{}：{}票", "バス{}番、{}:{}発"),
}
CHAPTERS = {
    "en": "Chapter {}", "de": "Kapitel {}", "fr": "Chapitre {}", "ru": "Глава {}", "ar": "الفصل {}",
    "fa": "فصل {}", "hi": "अध्याय {}", "th": "บทที่ {}", "zh": "第{}章", "ja": "第{}章",
}  # fmt: skip
ADDED = {
    "en": ("Published {}.{}.2024", "{} views", "{} comments", "Price today: {}"),
    "de": ("Veröffentlicht am {}.{}.2024", "{} Aufrufe", "{} Kommentare", "Preis heute: {}"),
    "fr": ("Publié le {}/{}/2024", "{} vues", "{} commentaires", "Prix du jour : {}"),
    "ru": ("Опубликовано {}.{}.2024", "{} просмотров", "{} комментариев", "Цена сегодня: {}"),
    "ar": ("نشر في {}/{}/٢٠٢٤", "{} مشاهدة", "{} تعليقا", "سعر اليوم: {}"),
    "fa": ("انتشار {}/{}/۱۴۰۳", "{} بازدید", "{} نظر", "قیمت امروز: {}"),
    "hi": ("प्रकाशित {}-{}-२०२४", "{} बार देखा गया", "{} टिप्पणियाँ", "आज का मूल्य: {}"),
    "th": ("เผยแพร่ {}/{}/๒๕๖๗", "{} ครั้ง", "{} ความเห็น", "ราคาวันนี้ {}"),
    "zh": ("发布于2024年{}月{}日", "{}次浏览", "{}条评论", "今日价格：{}"),
    "ja": ("２０２４年{}月{}日公開", "閲覧数{}", "コメント{}件", "本日の価格：{}"),
}
"""Date, view counter, comment count and price of the day, as pages put them around an article."""


KINDS = ("report", "prices", "election", "timetable", "chapter", "grid")


def write_number(value: int, language: str, decimals: int = 0) -> str:
    """Return a number in the digits and with the separators of a language; `decimals` of its digits are a fraction."""
    digits, group, point = DIGITS[language]
    whole, fraction = divmod(abs(value), 10**decimals)
    text = f"{whole:,}".replace(",", group) + (f"{point}{fraction:0{decimals}}" if decimals else "")
    return ("-" if value < 0 else "") + text.translate(str.maketrans(ASCII, digits))


def _rows(template: str, language: str, rng: np.random.Generator, count: int) -> str:
    slots = template.count("{}")
    return "\n".join(
        template.format(*(write_number(int(n), language) for n in rng.integers(10, 99_999, slots)))
        for _ in range(count)
    )


def number_texts(language: str, seed: int, count: int = 4) -> dict[str, list[str]]:
    """Return by kind `count` documents that differ in numbers only."""
    rng = np.random.default_rng(seed)
    prices, votes, buses = ROWS[language]
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for number in range(count):
        reports = [
            REPORTS[language].format(*(write_number(int(n), language, 1) for n in rng.integers(-999, 9999, 4)))
            for _ in range(1 + number % 3)
        ]
        kinds["report"].append("\n".join(reports))
        kinds["prices"].append(_rows(prices, language, rng, 12))
        kinds["election"].append(_rows(votes, language, rng, 16))
        kinds["timetable"].append(_rows(buses, language, rng, 20))
        kinds["chapter"].append(CHAPTERS[language].format(write_number(number + 11, language)))
        kinds["grid"].append(_rows(" ".join(["{}"] * 6), language, rng, 12))
    return kinds


def with_numbers_of_the_day(article: str, language: str, seed: int) -> str:
    """Return an article between a date, a view counter, a comment count and a price that depend on the seed."""
    rng = np.random.default_rng(seed)
    date, views, comments, price = ADDED[language]
    day, month = (write_number(int(n), language) for n in rng.integers(1, 13, 2))
    counts = (write_number(int(n), language) for n in rng.integers(100, 99_999, 3))
    top, middle, end = (line.format(number) for line, number in zip((views, comments, price), counts, strict=True))
    return f"{date.format(day, month)}\n{top}\n{article}\n{middle}\n{end}"
