"""Languages of lines: mixed pages made of sentences whose language is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.language.lines import FOREIGN, OWN, UNJUDGED, judge_lines, strip_foreign_lines
from autoclave.cleaning.signals import measure
from autoclave.corpus.schema import make_documents

ENGLISH = (
    "All human beings are born free and equal in dignity and rights, and they are endowed with reason and conscience."
)
GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren, sie sind mit Vernunft und Gewissen begabt."
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神互相对待。"
RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах, они наделены разумом и совестью."


def test_lines_are_own_foreign_or_too_short_to_say() -> None:
    lines = pa.array([ENGLISH, GERMAN, CHINESE, RUSSIAN, "Kurz.", "12345 " * 40, ""])
    assert judge_lines(lines, ["en"] * 7).tolist() == [OWN, FOREIGN, FOREIGN, FOREIGN, UNJUDGED, UNJUDGED, UNJUDGED]
    assert judge_lines(lines, ["de"] * 7).tolist()[:2] == [FOREIGN, OWN]
    assert judge_lines(lines, ["uk"] * 7).tolist()[3] == OWN  # close to Russian: no model of lines tells them apart
    assert judge_lines(lines, [None, "und", *["en"] * 5]).tolist()[:2] == [UNJUDGED, UNJUDGED]


def test_signals_count_lines_of_each_document() -> None:
    texts = pa.array([f"{ENGLISH}\n{GERMAN}\n\n{ENGLISH}\nshort", ENGLISH, "", f"{RUSSIAN}\n{CHINESE}"])
    found = measure(texts, ["line_languages"], languages=["en", "en", "en", "zh"])
    np.testing.assert_allclose(found["own_language_line_ratio"].to_pylist(), [2 / 3, 1, 1, 1 / 2], rtol=1e-6)
    assert found["foreign_line_count"].to_pylist() == [1, 0, 0, 1]
    alone = [
        measure(texts[i : i + 1], ["line_languages"], languages=[code])
        for i, code in enumerate(["en", "en", "en", "zh"])
    ]
    assert [one["foreign_line_count"][0].as_py() for one in alone] == [1, 0, 0, 1]


def test_foreign_lines_go_and_code_stays() -> None:
    code = "```\n" + f"# {ENGLISH}\n" + "```"
    own = "\n".join([CHINESE] * 4)
    text = f"{GERMAN}\n{own}\n{code}\n\nEnde.\n{ENGLISH}\n{RUSSIAN}"
    edited, changes = strip_foreign_lines(text.encode(), "zh")
    assert edited.decode() == f"{own}\n{code}\n\nEnde."
    assert changes == 3
    assert strip_foreign_lines(edited, "zh") == (edited, 0)
    assert strip_foreign_lines(text.encode(), None) == (text.encode(), 0)
    doubtful = f"{GERMAN}\n{ENGLISH}\n{CHINESE}".encode()
    assert strip_foreign_lines(doubtful, "zh") == (doubtful, 0)


def test_the_chain_counts_what_it_removed_and_can_drop_mixed_pages() -> None:
    texts = [f"{ENGLISH}\n{ENGLISH}\n{ENGLISH}\n{GERMAN}\n{GERMAN}", f"{ENGLISH}\n{ENGLISH}\n{ENGLISH}\n{ENGLISH}"]
    batch = make_documents(texts, "s", language=["en"] * 2)
    edited, verdicts = Chain(CleanSettings(language=None, transforms=["strip_foreign_lines"], filters=[])).apply(batch)
    assert edited.column("text").to_pylist() == [f"{ENGLISH}\n{ENGLISH}\n{ENGLISH}", texts[1]]
    assert verdicts.signals["strip_foreign_lines_changes"].to_pylist() == [2, 0]
    settings = CleanSettings(
        language=None, transforms=[], filters=["line_languages"], thresholds={"own_language_line_ratio": [0.75, None]}
    )
    _, verdicts = Chain(settings).apply(batch)
    assert pa.array(verdicts.reason).to_pylist() == ["own_language_line_ratio < 0.75", None]
