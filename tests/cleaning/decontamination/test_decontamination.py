"""Decontamination: equal to a brute-force search, finds what was planted in English and Chinese, spares the rest."""

from __future__ import annotations

import functools
import gzip
import json
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.chain import Chain, CleanSettings
from autoclave.cleaning.decontamination.evaluation_sets import set_names
from autoclave.cleaning.decontamination.index import ContaminationIndex, IndexSettings, build_index, load_index
from autoclave.cleaning.decontamination.spans import FILTERS, build, hits
from autoclave.cleaning.filters.base import Measurement
from autoclave.cleaning.language.words import scans
from autoclave.cleaning.signals import run_filters
from autoclave.errors import InputError, RecipeError
from autoclave.kernels.text.characters import UNSPACED, character_tables
from autoclave.kernels.text.texts import text_buffers

ENGLISH = ("arc_challenge", "arc_easy", "boolq", "gsm8k", "hellaswag_olmo_subset", "lambada_openai", "piqa", "siqa")
CHINESE = ("agieval_gaokao-history", "agieval_logiqa-zh", "agieval_jec-qa-kd")


def plain_units(text: str) -> list[str]:
    """Units by their definition, over Python strings."""
    classes = character_tables()[0]
    units: list[str] = []
    joins = False
    for character in text:
        if unicodedata.category(character) in ("Mn", "Mc"):
            if joins:
                units[-1] += character
            continue
        code = ord(character)
        character = chr(code - 0xFEE0) if 0xFF01 <= code < 0xFF5F else character
        character = character.lower() if len(character.lower()) == 1 else character
        if classes[code] & UNSPACED:
            units.append(character)
            joins = True
            alone = True
        elif chr(code).isalnum():
            if joins and not alone:
                units[-1] += character
            else:
                units.append(character)
            joins, alone = True, False
        else:
            joins = False
    return units


def plain_hits(texts: list[str], items: list[list[str]], limits: IndexSettings) -> dict[tuple[int, int], int]:
    """(document, item) -> n-grams of the document that are n-grams of the item."""
    classes = character_tables()[0]
    owners: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for number, strings in enumerate(items):
        for string in strings:
            units = plain_units(string)
            unspaced = sum(bool(classes[ord(unit[0])] & UNSPACED) for unit in units) * 2 > len(units)
            sizes, least = limits.sizes, limits.least
            if unspaced:
                sizes, least = limits.unspaced_sizes, limits.unspaced_least
            for length in {min(size, len(units)) for size in sizes} if len(units) >= least else ():
                for at in range(len(units) - length + 1):
                    owners[tuple(units[at : at + length])].add(number)
    known = {gram: numbers for gram, numbers in owners.items() if len(numbers) <= limits.max_items}
    found: dict[tuple[int, int], int] = defaultdict(int)
    for document, text in enumerate(texts):
        units = plain_units(text)
        for length in range(limits.least, max(limits.sizes + limits.unspaced_sizes) + 1):
            for at in range(len(units) - length + 1):
                for number in known.get(tuple(units[at : at + length]), ()):
                    found[document, number] += 1
    return dict(found)


def write_set(path: Path, items: list[list[str]]) -> str:
    path.write_text("".join(json.dumps({"texts": strings}) + "\n" for strings in items), encoding="utf-8")
    return str(path)


def indexed_hits(index: ContaminationIndex, texts: list[str]) -> dict[tuple[int, int], int]:
    table = hits(index, pa.array(texts, pa.string()))
    rows, lines, counts = (table.column(name).to_pylist() for name in ("row", "item", "ngrams"))
    return {(row, line - 1): count for row, line, count in zip(rows, lines, counts, strict=True)}


strings = st.text(st.sampled_from("aAbé é e\u0301 ,。我们Ａ1 ก็0"), max_size=24)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(strings, max_size=3), min_size=1, max_size=8),
    st.lists(strings, max_size=6),
    st.sampled_from([[4], [5, 2], [3, 4, 8]]),
)
def test_equal_to_brute_force(
    tmp_path_factory: pytest.TempPathFactory, items: list[list[str]], texts: list[str], sizes: list[int]
) -> None:
    if not any(any(one) for one in items):
        return
    path = write_set(tmp_path_factory.mktemp("set") / "set.jsonl", items)
    limits = IndexSettings(sizes=sizes, least=2, unspaced_sizes=[6], unspaced_least=3, max_items=3)
    index = build_index([path], limits)
    texts = [*texts, *(" x ".join(one) for one in items[:2])]
    assert indexed_hits(index, texts) == plain_hits(texts, items, limits)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_units_of_any_text(texts: list[str]) -> None:
    from autoclave.cleaning.decontamination.index import _units

    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    buffers = text_buffers(pa.array(texts, pa.string()))
    start, end, hashes, unit_offsets = _units(buffers)
    units = [unit for text in texts for unit in plain_units(text)]
    assert np.diff(unit_offsets).tolist() == [len(plain_units(text)) for text in texts]
    assert len(set(hashes.tolist())) == len(set(units))
    assert all(first < last for first, last in zip(start, end, strict=True))
    for first, last, unit in zip(start, end, units, strict=True):
        assert plain_units(bytes(buffers.data[first:last]).decode()) == [unit]


@pytest.fixture(scope="module")
def evaluation_sets(shared_data: Path) -> ContaminationIndex:
    paths = [str(shared_data / "eval_en" / f"{name}.jsonl.zst") for name in ENGLISH]
    return build_index([*paths, *(str(shared_data / "eval_zh" / f"{name}.jsonl.zst") for name in CHINESE)])


@functools.cache
def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in zstandard.decompress(path.read_bytes(), 1 << 28).splitlines()]


def longest_string(record: object) -> str:
    if isinstance(record, str):
        return record
    inner = list(record.values()) if isinstance(record, dict) else record if isinstance(record, list) else []
    return max((longest_string(value) for value in inner), key=len, default="")


def clean_texts(shared_data: Path) -> list[str]:
    """Texts that cannot hold the sets: PEPs and amended Chinese acts, in pieces of web page size."""
    english = [str(row["text"]) for row in lines_of(shared_data / "tech_peps" / "peps.jsonl.zst")[:150]]
    chinese = [str(row["text"]) for row in lines_of(next((shared_data / "zh_techdocs").glob("*.zst")))[:150]]
    return [text[:4000] for text in english + chinese]


def test_planted_items_are_found_and_the_rest_is_spared(evaluation_sets: ContaminationIndex, shared_data: Path) -> None:
    texts = clean_texts(shared_data)
    before = indexed_hits_by_name(evaluation_sets, texts)
    generator = np.random.default_rng(5)
    planted: dict[int, str] = {}
    wanted = [("eval_en", name) for name in ENGLISH] + [("eval_zh", name) for name in CHINESE]
    for place, row in enumerate(generator.permutation(len(texts))[:200].tolist()):
        folder, name = wanted[place % len(wanted)]
        items = lines_of(shared_data / folder / f"{name}.jsonl.zst")
        line = int(generator.integers(len(items)))
        text = longest_string(items[line])
        if len(plain_units(text)) < 13:
            continue
        disguised = text.upper().replace(" ", "  ").replace(",", " –") if place % 2 else text
        half = len(texts[row]) // 2
        texts[row] = f"{texts[row][:half]}\n{disguised}\n{texts[row][half:]}"
        planted[row] = f"{name}:{line + 1}"
    after = indexed_hits_by_name(evaluation_sets, texts)
    found = sum(name in after.get(row, ()) for row, name in planted.items())
    assert len(planted) > 150
    assert found / len(planted) >= 0.97, "recall of the planted items"
    flagged = set(after)
    assert len(flagged & set(planted)) / len(flagged) >= 0.97, "precision of the documents flagged"
    assert len(before) <= 3


def indexed_hits_by_name(index: ContaminationIndex, texts: list[str]) -> dict[int, set[str]]:
    table = hits(index, pa.array(texts, pa.string()))
    named: dict[int, set[str]] = defaultdict(set)
    for row in table.to_pylist():
        named[row["row"]].add(f"{row['set']}:{row['item']}")
    return dict(named)


ITEM = "Which of these planets is known for a great red spot that has lasted for centuries and why?"


@pytest.fixture
def one_item(tmp_path: Path) -> str:
    return write_set(tmp_path / "quiz.jsonl", [["Too short"], [ITEM], ["我们把蛋白质放在水里面加热一段时间以后观察"]])


def test_whole_documents_are_dropped(one_item: str) -> None:
    chosen = build("datatrove", {"sets": [one_item]}, (), "clean.filters.decontamination")
    texts = [
        f"Before. {ITEM} After.",
        "Nothing of it here.",
        "",
        ITEM[:50],
        "他说：我们把蛋白质放在水里面加热 一段时间以后观察。",
    ]
    text, signals = run_filters(pa.array(texts), [chosen], [None] * 5)
    assert text.to_pylist() == texts
    said = chosen.decide(signals, [None] * 5).tolist()
    assert said == ["contaminated_ngrams > 0", None, None, None, "contaminated_ngrams > 0"]
    assert signals["contaminated_ngrams"].to_pylist() == [6, 0, 0, 0, 2]
    assert signals["contaminated_share"].to_pylist() == pytest.approx([18 / 20, 0, 0, 0, 21 / 23], abs=1e-6)
    index = build_index([one_item])
    names = index.names(signals["contaminated_item"].to_numpy())
    assert names == ["quiz:2", None, None, None, "quiz:3"]
    assert index.skipped == 1


def test_spans_are_cut_out(one_item: str) -> None:
    chosen = build("datatrove", {"sets": [one_item], "action": "spans"}, (), "clean.filters.decontamination")
    texts = [
        f"Before. {ITEM} After. ",
        "Nothing of it here.",
        f"{ITEM} {ITEM.upper()}",
        "前面。我们把蛋白质放在水里面加热一段时间以后观察。后面",
    ]
    text, signals = run_filters(pa.array(texts), [chosen], [None] * 4)
    assert text.to_pylist() == ["Before. \n? After. ", "Nothing of it here.", "\n?", "前面。\n。后面"]
    assert signals["contaminated_spans"].to_pylist() == [1, 0, 1, 1]
    again, _ = run_filters(text, [chosen], [None] * 4)
    assert again.equals(text)
    many = " and ".join(f"{ITEM} something else {number}" for number in range(11))
    _, signals = run_filters(pa.array([many]), [chosen], [None])
    assert chosen.decide(signals, [None]).tolist() == ["contaminated_spans > 10"]
    wide = build("datatrove", {"sets": [one_item], "action": "spans", "margin": 1}, (), "here")
    text, _ = run_filters(pa.array(["one two. " + ITEM + " three four"]), [wide], [None])
    assert text.to_pylist() == ["one \n four"]


def test_other_languages_are_left_alone(one_item: str) -> None:
    rules = {"sets": [one_item], "action": "spans"}
    chosen = build("datatrove", rules, ["en"], "clean.filters.decontamination")
    text, signals = run_filters(pa.array([ITEM, ITEM]), [chosen], ["de", "en"])
    assert text.to_pylist() == [ITEM, "\n?"]
    assert signals["contaminated_ngrams"].to_pylist() == [None, 6]


def test_an_index_is_saved_and_gives_the_same(
    evaluation_sets: ContaminationIndex, tmp_path: Path, one_item: str
) -> None:
    path = str(tmp_path / "index.npz")
    evaluation_sets.save(path)
    again = load_index(path)
    texts = [ITEM, "Nothing"]
    assert indexed_hits_by_name(again, texts) == indexed_hits_by_name(evaluation_sets, texts)
    assert np.array_equal(again.keys, evaluation_sets.keys)
    assert again.names(np.array([0, -1])) == ["arc_challenge:1", None]
    build_index([one_item]).save(path)
    chosen = build("datatrove", {"index": path}, (), "here")
    _, signals = run_filters(pa.array(texts), [chosen], [None] * 2)
    assert signals["contaminated_items"].to_pylist() == [1, 0]


def test_phrases_of_a_set_are_no_traces(tmp_path: Path) -> None:
    phrase = "choose the one best answer from the list that is given below in each of these cases"
    items = [[f"{phrase} number {word}"] for word in "abcdefghijkl"]
    assert indexed_hits(build_index([write_set(tmp_path / "s.jsonl", items)]), [phrase]) == {}
    few = build_index([write_set(tmp_path / "s.jsonl", items[:10])])
    assert len(indexed_hits(few, [phrase])) == 10


def test_faults_are_named(tmp_path: Path, one_item: str) -> None:
    (tmp_path / "broken.jsonl").write_text('{"a": "b"}\nno json\n')
    with pytest.raises(InputError, match=r"broken\.jsonl:2: not JSON"):
        build_index([str(tmp_path / "broken.jsonl")])
    with pytest.raises(InputError, match="no text in the fields"):
        build_index([one_item], IndexSettings(fields=["question"]))
    (tmp_path / "no.npz").write_bytes(b"PK no archive")
    with pytest.raises(InputError, match="not an index"):
        load_index(str(tmp_path / "no.npz"))
    with pytest.raises(RecipeError, match="either an index, or sets"):
        build("datatrove", {"action": "spans"}, (), "here")
    with pytest.raises(RecipeError, match="least"):
        IndexSettings(sizes=[13, 5])
    measure = FILTERS["datatrove"].measure
    assert measure is not None
    with pytest.raises(RecipeError, match="name an index"):
        measure(next(scans(pa.array(["text"]))), Measurement([None]))


def test_of_several_sizes_each_decides_as_an_index_of_its_own(tmp_path: Path) -> None:
    """The largest size found is the largest of those whose own index finds something."""
    sentences = [f"{ITEM} {' '.join(word * 2 for word in ITEM.split()[::-1])} {number}" for number in range(3)]
    path = write_set(tmp_path / "long.jsonl", [[sentence] for sentence in [*sentences, ITEM[:50]]])
    words = sentences[1].split()
    texts = [" ".join(["x", *words[:count], "y"]) for count in (7, 8, 12, 13, 19, 20, 30)] + [ITEM[:50], ""]
    sizes = [8, 13, 20]
    alone = [{row for row, _ in indexed_hits(build_index([path], IndexSettings(sizes=[n])), texts)} for n in sizes]
    expected = [max([n for n, rows in zip(sizes, alone, strict=True) if row in rows], default=0) for row in range(9)]
    assert set(expected) == {0, 8, 13, 20}
    rules = {"sets": [path], "ngram": {"sizes": sizes}}
    _, signals = run_filters(pa.array(texts), [build("paper", rules, (), "here")], [None] * 9)
    assert signals["contaminated_size"].to_pylist() == expected
    again = load_after_saving(build_index([path], IndexSettings(sizes=sizes)), tmp_path)
    table = hits(again, pa.array(texts)).to_pylist()
    assert [max([row["size"] for row in table if row["row"] == place], default=0) for place in range(9)] == expected


def load_after_saving(index: ContaminationIndex, folder: Path) -> ContaminationIndex:
    index.save(str(folder / "index.npz"))
    return load_index(str(folder / "index.npz"))


def test_a_set_is_the_same_in_every_format(tmp_path: Path) -> None:
    questions = [ITEM, "Name the longest of the rivers that flow into the northern sea today", "我们" * 12]
    write_set(tmp_path / "quiz.jsonl", [[text] for text in questions])
    records = [{"asked": {"text": text}, "answers": ["no", "yes"]} for text in questions]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "quiz.parquet")
    (tmp_path / "quiz.txt.gz").write_bytes(gzip.compress("\n".join(questions).encode()))
    texts = [f"a {text} b" for text in questions]
    for name in ("quiz.jsonl", "quiz.parquet", "quiz.txt.gz"):
        index = build_index([str(tmp_path / name)])
        assert indexed_hits_by_name(index, texts) == {row: {f"quiz:{row + 1}"} for row in range(3)}, name
    named = build_index([str(tmp_path / "quiz.parquet")], IndexSettings(fields=["asked"]))
    assert indexed_hits_by_name(named, texts)[1] == {"quiz:2"}
    with pytest.raises(InputError, match="no text in the fields"):
        build_index([str(tmp_path / "quiz.parquet")], IndexSettings(fields=["question"]))
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "quiz.parquet").read_bytes()[:200])
    with pytest.raises(InputError, match=r"cut\.parquet: not a readable Parquet file"):
        build_index([str(tmp_path / "cut.parquet")])
    assert set_names(["a/quiz.jsonl.zst", "b/quiz.parquet", "b/other.txt", "c/x.jsonl", "c/x.parquet"]) == [
        "a/quiz", "b/quiz", "other", "x.jsonl", "x.parquet",
    ]  # fmt: skip


def test_a_recipe_names_the_filter(one_item: str) -> None:
    filters = [{"decontamination": {"sets": [one_item], "contaminated_ngrams": [None, 5]}}]
    chain = Chain(CleanSettings(language=None, transforms=[], filters=filters))
    assert chain.filters[0].bounds[0].high == 5
    assert "contaminated_item" in chain.signal_names()
    with pytest.raises(RecipeError, match="name a model per language"):
        CleanSettings(filters=[{"perplexity": {"scorer": "own"}}])
    with pytest.raises(RecipeError, match="quality_classifier"):
        CleanSettings(filters=[{"quality_classifier": {"threshold": "much"}}])
