"""Stop words per language, as FineWeb-2 publishes them, and the tables that kernels look them up in."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from autoclave.kernels.text.rules.counts import STOP_SLOTS
from autoclave.kernels.text.words.kinds import hash_word

STOP_WORDS: dict[str, str] = {
    "en": "the be to of and that have with",
    "zh": "的 年 在 月 是 和 日 了 於 · 為 有 被 人 中 为 他 與 後 也 而 由",
    "ja": "の に を は た て が と で 年 し ・ 月 れ さ",
    "ko": "의 다 이 는 에 을 한 년 하 은 를 했 고 에서 가 있 으로 인 월 로 되",
    "de": "der die und in von im den des mit das ist dem auf eine als ein zu für sich",
    "fr": "de la le et les des en du un une est dans par au que pour",
    "es": "de la en el y que los del se las por un con una para su",
    "it": "di e il la in del un che è della per una con da",
    "pt": "de a e o do da em que os um para uma com no na",
    "ru": "в и на с по из не за от к",
    "nl": "de van het een in en is op met te zijn voor",
    "pl": "w i na z do się o jest od przez",
}
"""en: Rae et al. 2021; zh, ja, ko: FineWeb-2 configs cmn_Hani, jpn_Jpan, kor_Hang (ODC-By); others: the most frequent
function words. A language that is not here is compared with the English list, as the originals do."""


def _table(words: Sequence[str]) -> np.ndarray:
    slots = np.zeros(STOP_SLOTS, dtype=np.uint64)
    for word in words:
        value = int(np.uint64(hash_word(np.frombuffer(word.encode(), dtype=np.uint8))))
        slot = value % STOP_SLOTS
        while slots[slot]:
            slot = (slot + 1) % STOP_SLOTS
        slots[slot] = value
    return slots


@functools.cache
def stop_tables() -> tuple[np.ndarray, dict[str, int]]:
    """Return (tables uint64 [languages, STOP_SLOTS], language -> row); row 0 is English."""
    names = list(STOP_WORDS)
    return np.stack([_table(STOP_WORDS[name].split()) for name in names]), {name: i for i, name in enumerate(names)}


def stop_rows(languages: Sequence[str | None]) -> np.ndarray:
    """Return the row of `stop_tables` for each document's language (int32[documents])."""
    rows = stop_tables()[1]
    return np.fromiter((rows.get(language or "en", 0) for language in languages), np.int32, len(languages))
