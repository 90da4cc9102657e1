"""Language of each document: fastText labels, checked against the script that the text is written in."""

from __future__ import annotations

import functools
import hashlib
import operator
import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa

from autoclave.cleaning.language.codes import UNDETERMINED, short_code
from autoclave.cleaning.language.script import SCRIPTS, script_bytes, string_buffers
from autoclave.errors import InputError

# Documents longer than this are judged by evenly spaced windows of together this many bytes, so that the cost of a
# document stays bounded. Measured on 2,000 web documents in 15 languages (web_registers): 98.8 % right with 512,
# 99.1 % with 2048, 99.05 % with the whole text, at a quarter of its time.
SAMPLE_BYTES = 2048
SAMPLE_WINDOWS = 4
CANDIDATES = 5
# A label is refused when less than this share of the letters (in bytes) is of a script that its language uses.
MIN_SCRIPT_SHARE = 0.1
# Kana among Chinese characters: above this share the text is not Chinese.
MAX_KANA_SHARE = 0.1
BUNDLED_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"

# Languages of lid.176 that are not (or not only) written in Latin letters, by the scripts they use.
_LANGUAGES_OF_SCRIPTS: dict[tuple[str, ...], str] = {
    ("Arab",): "ar arz azb ckb fa lrc mzn pnb ps sd ug ur",
    ("Cyrl",): "av ba be bg bxr ce cv kv krc lez mhr mk mrj myv os ru rue sah tg tyv uk xal",
    ("Latn", "Cyrl", "Arab"): "az uz kk ky ku tt tk",
    ("Cyrl", "Latn"): "sr sh bs",
    ("Cyrl", "Mong"): "mn",
    ("Deva",): "bh dty hi mai mr ne new sa",
    ("Deva", "Latn"): "gom hif",
    ("Guru", "Arab"): "pa",
    ("Kana", "Hani"): "ja",
    ("Hani",): "zh wuu yue",
    ("Hang",): "ko",
    ("Beng",): "as bn bpy",
    ("Hebr",): "he yi",
    ("Geor",): "ka xmf",
    ("Gujr",): "gu",
    ("Orya",): "or",
    ("Taml",): "ta",
    ("Telu",): "te",
    ("Knda",): "kn",
    ("Mlym",): "ml",
    ("Sinh",): "si",
    ("Thai",): "th",
    ("Laoo",): "lo",
    ("Tibt",): "bo",
    ("Mymr",): "my",
    ("Ethi",): "am",
    ("Khmr",): "km",
    ("Grek",): "el",
    ("Armn",): "hy",
    ("Thaa",): "dv",
}
_SCRIPTS_OF_LANGUAGE = {code: scripts for scripts, codes in _LANGUAGES_OF_SCRIPTS.items() for code in codes.split()}
# ISO 15924 codes in model labels ("zho_Hans") -> ours.
_SCRIPT_SYNONYMS = {
    "Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Kana", "Hani"), "Kore": ("Hang", "Hani"), "Hang": ("Hang",),
    "Hira": ("Kana",), "Aran": ("Arab",),
}  # fmt: skip


class LanguageIdentifier:
    """Identifies languages with a fastText model.

    Args:
        model: path of a fastText model; None for the bundled lid.176.ftz (176 languages, ISO 639-1 or -3 codes).
        labels: "short" maps labels such as `eng_Latn` (GlotLID, OpenLID) to ISO 639-1 where there is a code;
            "as-is" keeps them. Labels of lid.176 are the same in both.
        check_script: refuse a label whose script the text does not use, and take the next best that fits.
        sample_bytes: budget of text per document; longer documents are judged by evenly spaced windows.

    Raises InputError where the model cannot be read, or the bundled one is not the file that belongs there.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        labels: str = "short",
        check_script: bool = True,
        sample_bytes: int = SAMPLE_BYTES,
    ) -> None:
        if labels not in ("short", "as-is"):
            raise ValueError(f"labels {labels!r} is neither 'short' nor 'as-is'")
        path = bundled_model() if model is None else model
        try:
            loaded = fasttext.load_model(path)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise InputError(f"{path}: not a fastText model ({error}); give a .bin or .ftz file") from error
        self._model = loaded
        self._check_script = check_script
        self._sample_bytes = sample_bytes
        raw = loaded.get_labels()
        self._names = {
            # lid.176 has Wikipedia's codes: `als` is Alemannic there, and Albanian as ISO 639-3
            label: short_code(label)
            if labels == "short" and "_" in label.removeprefix("__label__")
            else label.removeprefix("__label__")
            for label in raw
        }
        masks = {label: _script_mask(label.removeprefix("__label__")) for label in raw}
        self._masks = masks

    @property
    def languages(self) -> list[str]:
        """The codes that the model can give, sorted."""
        return sorted(set(self._names.values()))

    def predict(self, text: pa.StringArray) -> tuple[pa.StringArray, pa.FloatArray]:
        """Return (language, probability) of each document, both as long as `text`.

        What is judged is `normalised` text: capitals, unusual blanks and forms of letters are no other language.
        Of a long document it is the language with the largest sum of probabilities over its windows, and their mean.
        A document without letters, or whose candidates all contradict its script, is "und" with probability 0; null
        text gives null. The same text gives the same answer in any batch.
        """
        rows = len(text)
        windows, owners = sample(text, self._sample_bytes)
        scripts = script_bytes(windows)
        totals = scripts.sum(axis=1)
        wanted = np.flatnonzero(totals)
        lines = [normalised(line) for line in windows.take(pa.array(wanted)).to_pylist()]
        count = CANDIDATES if self._check_script else 1
        labels, probabilities = self._model.predict(lines, k=count) if lines else ([], [])
        votes: list[dict[str, float]] = [{} for _ in range(rows)]
        voters = np.zeros(rows, dtype=np.int64)
        for window, names, chances in zip(wanted.tolist(), labels, probabilities, strict=True):
            row = int(owners[window])
            voters[row] += 1
            for label, chance in zip(names, chances, strict=True):
                if not self._check_script or self._fits(label, scripts[window], int(totals[window])):
                    name = self._names[label]
                    votes[row][name] = votes[row].get(name, 0.0) + min(float(chance), 1.0)
                    break
        languages: list[str | None] = [UNDETERMINED] * rows
        scores = np.zeros(rows, dtype=np.float32)
        for row, vote in enumerate(votes):
            if vote:
                languages[row] = max(vote, key=lambda name: (vote[name], name))
                scores[row] = vote[languages[row] or ""] / voters[row]
        missing = np.asarray(text.is_null()) if text.null_count else None
        if missing is not None:
            languages = [None if gone else name for name, gone in zip(languages, missing, strict=True)]
        return pa.array(languages, pa.string()), pa.array(scores, pa.float32(), mask=missing)

    def _fits(self, label: str, scripts: np.ndarray, total: int) -> bool:
        mask = self._masks[label]
        if int(scripts[mask].sum()) < MIN_SCRIPT_SHARE * total:
            return False
        han, kana = int(scripts[_HANI]), int(scripts[_KANA])
        name = self._names[label].split("_")[0]
        if name in ("zh", "wuu", "yue", "cmn", "lzh"):
            return kana <= MAX_KANA_SHARE * (han + kana)
        return not (name in ("ja", "jpn") and kana == 0 and han > 30)


_HANI, _KANA = SCRIPTS.index("Hani"), SCRIPTS.index("Kana")


def normalised(text: str) -> str:
    """Return one line of text as the model knows text from its training: NFC, usual letters for full-width, half-width
    and mathematical ones and for ligatures, no invisible characters, white space of every kind as single blanks, and in
    lower case where most of its letters are capitals, which lid.176 takes for other languages. Full-width punctuation
    stays: it tells the model of Chinese."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_USUAL))
    text = " ".join(text.split())
    lower = text.lower()
    if lower != text:
        capitals = sum(map(operator.ne, text, lower)) if len(lower) == len(text) else len(text)
        if 2 * capitals > sum(map(str.isalpha, text)):
            return lower
    return text


_USUAL: dict[int, str] = {
    **dict.fromkeys((0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF), ""),
    **{
        point: unicodedata.normalize("NFKC", chr(point))
        for point in (*range(0xFB00, 0xFB07), *range(0xFF10, 0xFFDD), *range(0x1D400, 0x1D800))
        if chr(point).isalnum() or 0xFF9E <= point <= 0xFF9F
    },
}


def scripts_of(language: str) -> tuple[str, ...]:
    """Return the ISO 15924 codes of the scripts that a language of lid.176 is written in."""
    found = dict.fromkeys(_SCRIPTS_OF_LANGUAGE.get(language, ("Latn",)))
    names = {script for script, ours in _SCRIPT_SYNONYMS.items() if set(ours) <= set(found)}
    return (*found, *sorted(names))


def _script_mask(label: str) -> np.ndarray:
    """Indices into SCRIPTS that a label's language may be written in; all of them where it is not known."""
    code, _, script = label.partition("_")
    names: Sequence[str]
    if script:
        names = _SCRIPT_SYNONYMS.get(script, (script,))
        if not set(names) <= set(SCRIPTS):
            names = SCRIPTS
    else:
        names = _SCRIPTS_OF_LANGUAGE.get(code, ("Latn",))
    return np.array([SCRIPTS.index(name) for name in names], dtype=np.int64)


def sample(text: pa.StringArray, budget: int) -> tuple[pa.StringArray, np.ndarray]:
    """Return the windows to judge documents by, and for each the row it is of (int64[windows]).

    A document of up to `budget` bytes is one window; a longer one gives SAMPLE_WINDOWS evenly spaced ones of together
    that many bytes, cut at characters. They are judged one by one, because a model adds up words, and languages with
    blanks between them outvote the others in a mixed text. Null counts as empty.
    """
    if text.null_count:
        text = text.fill_null("")
    rows = len(text)
    data, offsets = string_buffers(text)
    if not rows or int(np.diff(offsets).max()) <= budget:
        return text, np.arange(rows)
    view = memoryview(data.data)
    width = budget // SAMPLE_WINDOWS
    pieces: list[str] = []
    owners: list[int] = []
    for row, (start, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        if end - start <= budget:
            pieces.append(str(view[start:end], "utf-8"))
            owners.append(row)
            continue
        step = (end - start - width) // (SAMPLE_WINDOWS - 1)
        pieces += [_window(view, start + step * k, start, end, width) for k in range(SAMPLE_WINDOWS)]
        owners += [row] * SAMPLE_WINDOWS
    return pa.array(pieces, pa.string()), np.array(owners, dtype=np.int64)


def _window(view: memoryview, at: int, start: int, end: int, width: int) -> str:
    stop = min(at + width, end)
    while at > start and view[at] & 0xC0 == 0x80:
        at -= 1
    while stop < end and view[stop] & 0xC0 == 0x80:
        stop -= 1
    return str(view[at:stop], "utf-8")


def bundled_model() -> str:
    """Return the path of the bundled lid.176.ftz; InputError where the file is not the one that belongs there."""
    path = files("autoclave") / "assets" / "lid.176.ftz"
    _check_bundled(str(path))
    return str(path)


@functools.lru_cache(maxsize=1)
def _check_bundled(path: str) -> None:
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise InputError(f"{path}: the bundled language model is missing; install autoclave again") from error
    if digest != BUNDLED_SHA256:
        raise InputError(f"{path}: the bundled language model is damaged (sha256 {digest[:12]}); install again")


@functools.lru_cache(maxsize=4)
def identifier(model: str | None = None, labels: str = "short", check_script: bool = True) -> LanguageIdentifier:
    """Return a LanguageIdentifier, loaded once per process and setting."""
    return LanguageIdentifier(model, labels=labels, check_script=check_script)
