"""The chain and its stage: settings, verdicts, languages, filters of one's own, refilter equal to a fresh run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from autoclave.cleaning.chain import Chain, CleanSettings, LanguageSettings, build_filters, decide, sure_languages
from autoclave.cleaning.classifier.quality import ClassifierSettings, train_classifier
from autoclave.cleaning.filters.base import Bound, Columns, Filter, Measurement
from autoclave.cleaning.language.words import Scan
from autoclave.corpus.output import ShardOutput, Verdicts
from autoclave.corpus.schema import DOCUMENT_SCHEMA, make_documents
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError
from autoclave.pipelines.clean import STAGE
from autoclave.pipelines.reading.refilter import refilter
from autoclave.pipelines.running.engine import InProcessEngine
from autoclave.pipelines.running.stage import StageContext, document_shards

GOOD = """The harbour had been quiet since early morning, and the well-known fishing boats lay side by side at the pier.
Old Martha walked down to the water with a basket on her arm, because her brother was to come home that day.
He had spent three years at sea, and nobody in the village could say what he might look like when he returned.
Children ran along the wall, shouting that they could see a sail far out beyond the lighthouse and the rocks.
It turned out to be a cargo ship on its way north, which passed slowly and left a thin line of smoke in the sky.
By noon the wind had changed, and the smell of rain came over the hills that have always kept the storms away.
Martha sat on a bench near the net shed and talked with the carpenter about prices, weather and the new school.
When at last a small boat rounded the point, she stood up so quickly that the apples rolled across the stones."""
CHINESE = """清晨的港口十分安静，几艘渔船并排停在码头边，海面上飘着一层薄薄的雾气。
老人提着篮子慢慢走到水边，因为她的弟弟在今天就要回到家乡了，全村的人都知道这件事情。
他在海上度过了三年时间，没有人知道他现在是什么样子，也没有人收到过他写的信。
孩子们沿着石墙奔跑，大声喊着说已经看到远处灯塔后面有一片白色的帆影正在靠近。
结果那是一艘向北方航行的货船，它缓缓经过，在天空中留下一道细长的黑烟。
到了中午风向变了，雨水的气味越过山丘传来，人们开始收拾晾晒在院子里的渔网和衣服。
她坐在长椅上和木匠谈论物价、天气以及新建的学校，两个人一直聊到傍晚时分。
终于有一条小船绕过海角出现了，她站起来的时候太急，篮子里的苹果滚落了一地。"""
SHORT, CURLY = "Hello world.", GOOD + "\nThe braces {stand} in this line of text.\n"
REPEATED = "The same old line comes back again and again.\n" * 40
PLAIN: dict[str, Any] = {"language": None, "transforms": [], "dialect": "datatrove"}


def make_batch(texts: Sequence[str], languages: Sequence[str | None] | None = None) -> pa.RecordBatch:
    return make_documents(texts, "test", language=languages or [None] * len(texts))


def settings(**values: Any) -> CleanSettings:
    return msgspec.convert({**PLAIN, **values}, CleanSettings)


def verdicts_of(texts: Sequence[str], languages: Sequence[str | None] | None = None, **values: Any) -> Verdicts:
    return Chain(settings(**values)).apply(make_batch(texts, languages))[1]


def test_the_default_keeps_prose_of_the_languages_asked_for_and_drops_the_rest() -> None:
    chain = Chain(CleanSettings(language=LanguageSettings(keep=["en", "zh"])))
    batch, verdicts = chain.apply(make_batch([GOOD, CHINESE, SHORT, REPEATED, "Das ist ein kurzer Satz auf Deutsch."]))
    assert verdicts.kept.tolist() == [True, True, False, False, False], pa.array(verdicts.reason)
    assert pa.array(verdicts.filter).to_pylist()[2:] == ["gopher_repetition", "gopher_repetition", "language"]
    assert batch.schema == DOCUMENT_SCHEMA
    assert batch.column("language").to_pylist()[:2] == ["en", "zh"]


def test_every_document_gets_every_signal() -> None:
    verdicts = verdicts_of([GOOD, SHORT, ""])
    columns = verdicts.ledger(make_batch(["", "", ""]).column("doc_id"))
    for name, column in verdicts.signals.items():
        if name not in ("language", "language_score"):
            assert column.null_count == 0, name
    assert columns.num_rows == 3
    assert {"word_count", "top_2gram_ratio", "c4_sentence_count", "newline_word_ratio"} <= set(columns.schema.names)


def test_the_first_failing_filter_and_bound_give_the_reason() -> None:
    verdicts = verdicts_of([REPEATED], filters=["gopher_quality", "gopher_repetition"])
    reversed_order = verdicts_of([REPEATED], filters=["gopher_repetition", "gopher_quality"])
    assert pa.array(verdicts.reason).to_pylist() == ["stop_word_count < 2"]
    assert pa.array(reversed_order.reason).to_pylist() == ["duplicate_line_ratio > 0.3"]


def test_limits_can_be_set_in_every_form() -> None:
    for values in (
        {"filters": [{"gopher_quality": {"word_count": [1, 10]}}]},
        {"filters": {"gopher_quality": {"word_count": [1, 10]}}},
        {"filters": ["gopher_quality"], "thresholds": {"word_count": [1, 10]}},
        {"filters": ["gopher_quality"], "max_words": 10, "min_words": 1},
    ):
        assert pa.array(verdicts_of([GOOD], **values).reason).to_pylist() == ["word_count > 10"]
    rules = ("word_count", "stop_word_count", "alphabetic_word_ratio")
    off = {"filters": ["gopher_quality"], "thresholds": dict.fromkeys(rules)}
    assert verdicts_of([SHORT], **off).kept.tolist() == [True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"filters": ["gopher_qualty"]}, "no filter 'gopher_qualty'"),
        ({"filters": [{"gopher_quality": {"word_cont": [1, 2]}}]}, "no bound on 'word_cont'"),
        ({"filters": [{"gopher_quality": {"dialect": "klingon"}}]}, "no dialect 'klingon'"),
        ({"dialect": "klingon"}, "no dialect 'klingon'"),
        ({"filters": [{"fineweb": {"dialect": "dolma"}}]}, "fineweb.dialect: no dialect 'dolma'; choose one of datatr"),
        ({"thresholds": {"colour": [0, 1]}}, "no filter of the chain bounds 'colour'"),
        ({"thresholds": {"word_count": 5}}, r"give \[low, high\]"),
        ({"filters": [{"c4": {"min_words_per_line": "many"}}]}, "Expected 'int'"),
        ({"filters": ["nowhere:thing"]}, "cannot import 'nowhere'"),
        ({"transforms": ["polish"]}, "no transform 'polish'"),
        ({"transforms": ["strip_urls", "strip_urls"]}, "'strip_urls' is there twice"),
        ({"transforms": [{"strip_urls": {}, "redact_pii": {}}]}, "one transform an entry"),
        ({"transforms": [{"redact_pii": {"kinds": ["mail"]}}]}, r"transforms.redact_pii: Invalid enum value 'mail'"),
        ({"transforms": [{"strip_urls": {"kinds": ["mail"]}}]}, r"strip_urls: give options .*; it has none"),
    ],
)
def test_wrong_settings_are_one_clear_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Chain(settings(**values))


def test_two_dialects_of_one_family_stand_side_by_side() -> None:
    verdicts = verdicts_of([GOOD], filters=["gopher_quality", {"gopher_quality": {"dialect": "dolma"}}])
    assert {"mean_word_length", "median_word_length_dolma", "word_count", "word_count_dolma"} <= set(verdicts.signals)
    assert verdicts.signals["word_count"] != verdicts.signals["word_count_dolma"]


def test_a_family_without_the_dialect_of_the_chain_says_which_it_follows() -> None:
    """FineWeb's rules exist as the paper and as datatrove have them: a chain of Dolma's dialect takes the paper's."""
    filters = ["gopher_quality", "fineweb", {"bad_words": {"bad_words": [None, 2]}}, "nemotron", "text_statistics"]
    chosen = settings(dialect="dolma", filters=filters)
    assert chosen.filters == [
        "gopher_quality",
        {"fineweb": {"dialect": "paper"}},
        {"bad_words": {"bad_words": [None, 2]}},
        {"nemotron": {"dialect": "curator"}},
        {"text_statistics": {"dialect": "paper"}},
    ]
    labels = [(one.name, one.dialect) for one in build_filters(chosen)]
    assert labels == [
        ("gopher_quality", "dolma"), ("fineweb@paper", "paper"), ("bad_words", "dolma"), ("nemotron", "curator"),
        ("text_statistics", "paper"),
    ]  # fmt: skip
    again = msgspec.convert(msgspec.to_builtins(chosen), CleanSettings)
    assert again == chosen
    assert [(one.name, one.dialect) for one in build_filters(again)] == labels
    verdicts = verdicts_of(["- a line\n" * 9], dialect="dolma", filters=["fineweb"])
    assert pa.array(verdicts.filter).to_pylist() == ["fineweb@paper"]
    as_mapping = settings(dialect="dolma", filters={"gopher_quality": None, "fineweb": {"line_count": [2, None]}})
    assert as_mapping.filters == {"gopher_quality": None, "fineweb": {"dialect": "paper", "line_count": [2, None]}}
    assert settings(dialect="paper", filters=["gopher_quality", "fineweb"]).filters == ["gopher_quality", "fineweb"]


def test_both_readings_of_a_family_stand_beside_another_dialect() -> None:
    chosen = settings(dialect="curator", filters=["fineweb", {"fineweb": {"dialect": "datatrove"}}])
    first, second = build_filters(chosen)
    assert (first.name, second.name) == ("fineweb@paper", "fineweb_datatrove")
    assert not {bound.signal for bound in first.bounds} & {bound.signal for bound in second.bounds}


def test_chinese_has_limits_of_its_own() -> None:
    """English wants words of 3 to 10 letters; Chinese words are shorter (FineWeb-2)."""
    languages = ["zh", "en"]
    verdicts = verdicts_of([CHINESE, CHINESE], languages, filters=["gopher_quality"])
    assert pa.array(verdicts.reason).to_pylist() == [None, "mean_word_length < 3"]


def test_c4_edits_english_only_and_says_nothing_of_the_rest() -> None:
    text = "Too short.\n" + GOOD
    chain = Chain(settings(filters=["c4"]))
    batch, verdicts = chain.apply(make_batch([text, text, CURLY], ["en", "de", "en"]))
    assert batch.column("text").to_pylist()[:2] == [GOOD, text]
    assert verdicts.signals["c4_sentence_count"].to_pylist()[1] is None
    assert verdicts.kept.tolist() == [True, True, False]
    assert pa.array(verdicts.reason)[2].as_py() == "curly_bracket"


def test_later_filters_see_the_edited_text() -> None:
    text = "tiny\n" * 30 + GOOD
    alone = verdicts_of([text], ["en"], filters=["fineweb"])
    after = verdicts_of([text], ["en"], filters=[{"c4": {"terminal_punctuation": False}}, "fineweb"])
    assert alone.signals["line_count"].to_pylist() == [38]
    assert after.signals["line_count"].to_pylist() == [8]


def _exclamations(scan: Scan, measurement: Measurement) -> Columns:
    data = scan.data == ord("!")
    sums = np.concatenate([[0], np.cumsum(data)])
    return {"exclamations": (sums[scan.offsets[1:]] - sums[scan.offsets[:-1]]).astype(np.int32)}


def test_a_filter_of_your_own_from_a_file_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules.py").write_text(
        "import numpy as np\n"
        "from autoclave.cleaning.filters.base import Bound, Filter\n"
        "def measure(scan, measurement):\n"
        "    sums = np.concatenate([[0], np.cumsum(scan.data == ord('!'))])\n"
        "    return {'exclamations': (sums[scan.offsets[1:]] - sums[scan.offsets[:-1]]).astype(np.int32)}\n"
        "calm = Filter('calm', 'my own taste', (Bound('exclamations', high=3),), measure)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    verdicts = verdicts_of(["a! b! c! d!", "fine!"], filters=["my_rules:calm"])
    assert pa.array(verdicts.filter).to_pylist() == ["calm", None]
    assert verdicts.signals["exclamations"].to_pylist() == [4, 1]
    sys.modules.pop("my_rules")


def test_a_bound_at_its_limit_keeps() -> None:
    """3 of 10 lines are repeated: .3 is not more than .3, in float32 as in the original's float64."""
    chosen = Filter("test", "none", (Bound("x", high=0.3), Bound("y", low=0.1)))
    column = pa.array(np.array([3 / 10, 0.30000004, np.nan], dtype=np.float32))
    said = chosen.decide({"x": column, "y": pa.array([0.1, 0.1, None], pa.float32())}, ["en"] * 3)
    assert said.tolist() == [None, "x > 0.3", None]


def run_stage(folder: Path, source: Path, chosen: CleanSettings) -> StageContext[CleanSettings]:
    context = StageContext(
        "clean", Folder(folder), chosen, 0, InProcessEngine(), inputs=document_shards(Folder(source))
    )
    STAGE.run(context)
    return context


@pytest.fixture
def source(tmp_path: Path) -> Path:
    texts = [
        GOOD,
        CHINESE,
        SHORT,
        REPEATED,
        CURLY,
        GOOD.replace("Martha", "Ruth"),
        "\n".join(GOOD.split("\n")[:2]),
        "",
    ]
    for shard in range(2):
        with ShardOutput(Folder(tmp_path / "source"), "source", f"{shard:06d}") as output:
            batch = make_batch([f"{text} {shard}" if text else "" for text in texts], ["en", "zh", *["en"] * 6])
            output.write(batch, Verdicts.keep_all(batch.num_rows))
            output.commit(f"source {shard}", [])
    return tmp_path / "source"


def read(folder: Path, kind: str) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted((folder / kind).glob("*.parquet")))


def test_refilter_is_a_fresh_run(tmp_path: Path, source: Path) -> None:
    first = settings(min_words=50)
    run_stage(tmp_path / "first", source, first)
    changes = {
        "min_words": 20,
        "thresholds": {
            "c4_sentence_count": None,
            "curly_bracket_lines": None,
            "duplicate_line_ratio": [None, 1],
            "newline_word_ratio": None,
        },
    }
    run_stage(tmp_path / "fresh", source, msgspec.structs.replace(first, **changes))
    overrides = ["clean.min_words=20", "thresholds.curly_bracket_lines=null", "thresholds.newline_word_ratio=null"]
    overrides += ["clean.thresholds.duplicate_line_ratio=[null, 1]", "thresholds.c4_sentence_count=null"]
    report = refilter(str(tmp_path / "first"), overrides, out=str(tmp_path / "again"), engine=InProcessEngine())
    for kind in ("documents", "ledger", "dropped"):
        assert read(tmp_path / "again", kind).equals(read(tmp_path / "fresh", kind)), kind
    kept = read(tmp_path / "fresh", "documents").num_rows
    assert (report.documents, report.kept_after) == (16, kept)
    assert report.newly_kept > 0
    assert sum(report.reasons_after.values()) == 16 - kept


def test_refilter_says_no_to_what_needs_a_fresh_run(tmp_path: Path, source: Path) -> None:
    run_stage(tmp_path / "first", source, settings())
    for override in ("dialect=dolma", "filters=[c4]", "transforms=null", "filters=[fineweb, c4]"):
        with pytest.raises(RecipeError, match="run"):
            refilter(str(tmp_path / "first"), [override])
    other_limits = "filters=[prose, gopher_repetition, {c4: {rewrite: false, terminal_punctuation: false}}]"
    assert refilter(str(tmp_path / "first"), [other_limits])
    with pytest.raises(InputError, match="no finished clean stage"):
        refilter(str(tmp_path / "nothing"), [])


def test_options_of_transforms_change_what_is_measured(tmp_path: Path, source: Path) -> None:
    run_stage(tmp_path / "first", source, settings(transforms=["redact_pii"]))
    assert refilter(str(tmp_path / "first"), ["transforms=[{redact_pii: {kinds: all}}]"])  # the same, spelled out
    with pytest.raises(RecipeError, match="transforms and dialect change what is measured"):
        refilter(str(tmp_path / "first"), ["transforms=[{redact_pii: {kinds: fineweb}}]"])


def test_filters_know_their_sources() -> None:
    for chosen in build_filters(CleanSettings()):
        assert chosen.source
        assert chosen.bounds or chosen.name in ("language", "prose")


def test_a_language_is_sure_from_half_on_and_only_the_identified_are_doubted() -> None:
    scores = pa.array([0.9, 0.5, 0.49, None, None], pa.float32())
    assert sure_languages(["en", "th", "de", "fr", None], scores) == ["en", "th", "und", "fr", None]


@pytest.mark.parametrize(
    ("language", "least"),
    [({"keep": ["en"]}, 0.65), ({"keep": ["en"], "min_score": 0.2}, 0.2), ({}, None), ({"min_score": 0.4}, 0.4)],
)
def test_the_least_score_acts_with_and_without_a_choice_of_languages(
    language: dict[str, Any], least: float | None
) -> None:
    chain = Chain(settings(language=language, filters=[]))
    said = chain.apply(make_batch(["DANCING FOR FUN"]))[1]
    assert 0.4 < said.signals["language_score"][0].as_py() < 0.65
    assert said.kept.tolist() == [least is None or least <= 0.4]


def test_a_language_without_a_list_is_not_judged_by_stop_words() -> None:
    """FineWeb-2's lists for Amharic and Tuvan are in too few good texts, or there was none to judge them by."""
    counts = {}
    for dialect in ("paper", "datatrove"):
        said = verdicts_of([GOOD] * 4, ["en", "am", "tyv", "und"], filters=["gopher_quality"], dialect=dialect)
        counts[dialect] = said.signals["stop_word_count"].to_pylist()
        assert said.kept.tolist() == [True, dialect == "paper", dialect == "paper", True]
    assert counts["paper"][0] >= 2
    assert counts["paper"][1:] == [None, None, None]
    assert counts["datatrove"][1:] == [0, 0, None]


def scored(codes: Sequence[str], scores: Sequence[float], **values: Any) -> list[str | None]:
    """Return the reasons that a chain gives on labels and scores alone."""
    chosen = settings(transforms=[], filters=[], **values)
    signals = {"language_score": pa.array(scores, pa.float32())}
    return pa.array(decide(build_filters(chosen), signals, codes, chosen).reason).to_pylist()


@pytest.mark.parametrize("keep", [None, ["en", "fr"]])
def test_a_bound_on_the_score_of_one_language_acts(keep: list[str] | None) -> None:
    language = {"keep": keep, "min_score": 0.5}
    tables = {"fr": {"language_score": [0.9, None]}}
    codes, scores = ["fr", "fr", "en", "fr", "en"], [0.8, 0.95, 0.8, 0.3, 0.3]
    low = "language_score < 0.9"
    said = scored(codes, scores, language=language, thresholds_by_language=tables)
    assert said == [low, None, None, low, "language_score < 0.5"]
    # A lower limit than the general one, below what rules of a language ask for, is one on the label all the same.
    said = scored(codes, scores, language=language, thresholds_by_language={"fr": {"language_score": [0.2, None]}})
    assert said == [None, None, None, None, "language_score < 0.5"]
    off = scored(codes, scores, language=language, thresholds_by_language={"fr": {"language_score": None}})
    assert off == said


def test_a_language_that_is_not_kept_says_so_whatever_its_score() -> None:
    said = scored(["de", "fr"], [0.1, 0.1], language={"keep": ["fr"]}, thresholds={"language_score": [0.3, None]})
    assert said == ["language is de", "language_score < 0.3"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"language": {}, "thresholds_by_language": {"fr": {"language_score": [0.9, None]}}},
         r"thresholds_by_language.fr: no filter of the chain bounds 'language_score'"),
        ({"language": {"keep": ["eng_Latn"]}}, r"clean.language.keep: 'eng_Latn' is not how .* write 'en'"),
        ({"language": {"keep": ["English language"]}}, "use codes of ISO 639-1"),
        ({"language": {"keep": ["nb"]}}, "write 'no'"),
        ({"language": {"keep": ["frx"]}}, "lid.176 knows no language 'frx'; close codes: .*fr"),
        ({"thresholds_by_language": {"fra": {"word_count": [9, None]}}}, r"by_language.fra: .* write 'fr'"),
        ({"language": {}, "thresholds_by_language": {"xx": {"word_count": [9, None]}}}, "knows no language 'xx'"),
        ({"filters": [{"gopher_quality": {"languages": ["EN"]}}]}, "filters.gopher_quality.languages: 'EN' .* 'en'"),
        ({"filters": ["c4"], "thresholds_by_language": {"fr": {"c4_sentence_count": [9, None]}}},
         "fr.c4_sentence_count: the filter that bounds it does not judge fr"),
        ({"thresholds": {"word_count": [float("nan"), None]}}, "word_count: give"),
    ],
)  # fmt: skip
def test_limits_and_languages_that_could_never_act_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        settings(**values)


def test_codes_of_another_model_or_declared_ones_pass() -> None:
    settings(thresholds_by_language={"xx": {"word_count": [9, None]}})
    settings(language={"model": "other.bin", "keep": ["sot", "en", "und"]})


def test_another_language_model_gives_other_labels(tmp_path: Path) -> None:
    path = str(tmp_path / "model.bin")
    small = ClassifierSettings(dimension=16, buckets=100_000, epochs=25, learning_rate=0.25)
    good, bad = ([f"{line} {n}" for line in text.splitlines() for n in range(20)] for text in (GOOD, CHINESE))
    train_classifier(good, bad, path, small)
    labels = [
        Chain(settings(language=language, filters=[])).apply(make_batch([GOOD]))[0].column("language")[0].as_py()
        for language in ({}, {"model": path})
    ]
    assert labels == ["en", "hq"]
