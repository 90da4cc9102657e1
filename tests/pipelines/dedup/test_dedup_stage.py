"""The dedup stage against brute force, its invariance, resume, index, lines, and the labelled near-duplicate sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import zstandard
from dedup_corpus import WORDS, corpus, jaccard, ledger, outputs, run, write_source

from autoclave.cleaning.dedup import external, external_stars
from autoclave.cleaning.dedup.lines import LineSettings
from autoclave.cleaning.dedup.substring import SubstringSettings
from autoclave.corpus.commits import read_commit, read_commits
from autoclave.corpus.storage import Folder
from autoclave.errors import InputError, RecipeError, RunError, SchemaError
from autoclave.kernels.text.keys.normalisation import Normalisation
from autoclave.pipelines.dedup import clusters, clusters_external, edges, merge, stage
from autoclave.pipelines.dedup.manifest import read_manifest
from autoclave.pipelines.dedup.settings import DedupSettings, MinHashSettings
from autoclave.pipelines.dedup.stage import explain_settings
from autoclave.pipelines.running.stage import DocumentShard


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[DocumentShard], list[str], dict[int, Any]]:
    """A source, its dedup output in 'out', its texts in order and the truth."""
    root = tmp_path_factory.mktemp("planted")
    shards, truth = corpus(0)
    inputs = write_source(root / "source", shards)
    run(root / "out", inputs, partitions=3, members_per_partition=40)
    return root, inputs, [text for shard in shards for text in shard], truth


def test_every_removal_is_a_duplicate_and_every_planted_copy_is_removed(planted: Any) -> None:
    root, _, texts, truth = planted
    rows = ledger(root / "out")
    position = {row["doc_id"]: i for i, row in enumerate(rows)}
    assert len(rows) == len(texts)
    for i, row in enumerate(rows):
        if row["kept"]:
            assert (row["filter"], row["duplicate_of"], row["jaccard"]) == (None, None, None)
            continue
        stays = position[row["duplicate_of"]]
        assert rows[stays]["kept"]
        assert row["cluster_size"] == rows[stays]["cluster_size"] >= 2
        similarity = jaccard(texts[i], texts[stays])
        assert row["jaccard"] == pytest.approx(similarity, abs=1e-6)
        if row["filter"] == "exact_duplicate":
            assert texts[i].split() == texts[stays].split()
        else:
            assert row["filter"] == "near_duplicate"
            assert similarity >= 0.75
        assert len(texts[stays]) >= len(texts[i])  # keep: longest
    kept = [i for i, row in enumerate(rows) if row["kept"]]
    assert not set(kept) & {i for i, (_, kind) in truth.items() if kind == "exact" and kept.count(truth[i][0])}
    alike = [(a, b) for n, a in enumerate(kept) for b in kept[:n] if jaccard(texts[a], texts[b]) >= 0.75]
    pairs = sum(jaccard(texts[i], texts[j]) >= 0.75 for i, (j, _) in truth.items())
    assert len(alike) <= 0.02 * pairs  # what LSH missed: 1 - (1 - 0.8^8)^14 and more are found
    assert pairs > 100


def test_cluster_sizes_add_up(planted: Any) -> None:
    root, *_ = planted
    rows = ledger(root / "out")
    for row in rows:
        if row["kept"]:
            yields = sum(other["duplicate_of"] == row["doc_id"] for other in rows)
            assert row["cluster_size"] == 1 + yields
    commits = list(read_commits(Folder(root / "out")))
    assert sum(c.documents_in for c in commits) == len(rows)
    assert all(c.documents_in == c.kept + c.dropped + c.errors for c in commits)


def test_output_does_not_depend_on_workers_or_partitions(planted: Any, tmp_path: Path) -> None:
    root, inputs, _, _ = planted
    expected = outputs(root / "out")
    run(tmp_path / "workers", inputs, workers=2, partitions=3, members_per_partition=40)
    assert outputs(tmp_path / "workers") == expected
    run(tmp_path / "partitions", inputs, partitions=1, members_per_partition=7)
    assert outputs(tmp_path / "partitions") == expected


def test_tasks_are_cut_to_the_memory_that_they_may_need(
    planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reduce tasks hold a number of documents that follows from task_memory_mb, whatever the corpus's size."""
    root, inputs, _, _ = planted
    for constant in ("ENTRY_BYTES", "COPY_BYTES"):
        monkeypatch.setattr(stage, constant, 100 * getattr(stage, constant))
    monkeypatch.setattr(edges, "MEMBER_BYTES", 20_000)
    context = run(tmp_path / "small", inputs, task_memory_mb=1)
    documents = sum(shard.documents for shard in inputs)
    assert len(list(read_commits(context.phase_folder("candidates")))) == -(-documents * 14 * 4800 // (1 << 20))
    members = [c.counts["members"] for c in read_commits(context.phase_folder("members"))]
    manifest = read_manifest(context.folder.path("phases/manifest.json"))
    mean = sum(shard.text_bytes for shard in manifest.shards) // documents
    limit = (1 << 20) // (20_000 + 3 * mean)
    assert 1 < len(list(read_commits(context.phase_folder("verify")))) <= -(-sum(members) // limit) + 1
    assert outputs(tmp_path / "small") == outputs(root / "out")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"minhash": None},
        {"verify": "off", "component_cap": 2, "minhash": MinHashSettings(bands=50, rows=2)},
    ],
)
@pytest.mark.parametrize("row_bytes", [256, 1 << 17])
def test_components_beyond_the_memory_budget_give_the_same_bytes(
    planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], row_bytes: int
) -> None:
    _, inputs, _, _ = planted
    common = {"partitions": 3, "members_per_partition": 40} | given
    memory = run(tmp_path / "memory", inputs, **common)
    monkeypatch.setattr(clusters, "DENSE_BYTES", 1 << 40)
    monkeypatch.setattr(clusters_external, "DOCUMENT_BYTES", 30_000)
    monkeypatch.setattr(clusters_external, "ROW_BYTES", row_bytes)  # the larger: chunks of 8 rows
    monkeypatch.setattr(external_stars, "RANGE_NODE_BYTES", 30_000)
    monkeypatch.setattr(external, "NODE_BYTES", 10_000)
    disk = run(tmp_path / "disk", inputs, **common, memory_budget_mb=1)
    assert outputs(tmp_path / "disk") == outputs(tmp_path / "memory")
    cut = "dedup: components cut at component_cap"
    assert disk.results.get(cut, 0) == memory.results.get(cut, 0)
    assert "component_cap" not in given or memory.results[cut] > 0


def test_merged_shuffle_files_give_the_same_bytes(
    planted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, inputs, _, _ = planted
    lines = LineSettings(scope="all", min_count=2)
    run(tmp_path / "direct", inputs, partitions=3, members_per_partition=40, lines=lines)
    monkeypatch.setattr(merge, "FAN_IN", 2)
    merged = run(tmp_path / "merged", inputs, partitions=3, members_per_partition=40, lines=lines)
    for kind in ("bands", "exact", "members", "assignments", "lines", "frequent"):
        assert len(list(read_commits(merged.phase_folder(f"merge_{kind}")))) >= 2
    assert outputs(tmp_path / "merged") == outputs(tmp_path / "direct")


def test_verdicts_do_not_depend_on_the_shards(planted: Any, tmp_path: Path) -> None:
    root, _, texts, _ = planted
    one = write_source(tmp_path / "source", [texts])
    run(tmp_path / "out", one)
    names = ("kept", "filter", "jaccard", "cluster_size")
    assert [[r[n] for n in names] for r in ledger(tmp_path / "out")] == [
        [r[n] for n in names] for r in ledger(root / "out")
    ]


@pytest.mark.parametrize("phase", ["signatures", "candidates", "clusters", "members", "verify", None])
def test_resume_after_a_lost_commit_gives_the_same_bytes(planted: Any, tmp_path: Path, phase: str | None) -> None:
    _, inputs, _, _ = planted
    first = run(tmp_path / "out", inputs, partitions=2, members_per_partition=60)
    expected = outputs(tmp_path / "out")
    folder = first.phase_folder(phase)
    commit = read_commit(folder, "000000")
    assert commit is not None
    folder.remove("commits/000000.json")
    for name in commit.outputs:
        folder.remove(name)
    again = run(tmp_path / "out", inputs, partitions=2, members_per_partition=60)
    assert outputs(tmp_path / "out") == expected
    redone = read_commit(again.phase_folder(phase), "000000")
    assert redone is not None
    assert redone.outputs == commit.outputs


def test_a_phase_that_loses_a_shard_stops_the_stage(planted: Any, tmp_path: Path) -> None:
    _, inputs, _, _ = planted
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet")
    bad = DocumentShard("000009", str(broken), "x", 3)
    with pytest.raises(RunError, match="signatures: 1 of 5 shards given up"):
        run(tmp_path / "out", [*inputs, bad])


def test_without_verification_components_are_clusters(tmp_path: Path) -> None:
    """A chain a ~ b ~ c with a and c unlike: transitive closure leaves one, verification two."""
    words = WORDS[:240]
    chain = [" ".join(words[i : i + 200]) for i in (0, 10, 20, 30, 40)]
    inputs = write_source(tmp_path / "source", [chain[:3], chain[3:]])
    minhash = MinHashSettings(bands=50, rows=4)
    run(tmp_path / "off", inputs, verify="off", minhash=minhash, keep="first")
    assert [row["kept"] for row in ledger(tmp_path / "off")] == [True, False, False, False, False]
    verified = run(tmp_path / "on", inputs, verify="jaccard", minhash=minhash, verify_threshold=0.8, keep="first")
    rows = ledger(tmp_path / "on")
    assert [row["kept"] for row in rows].count(True) >= 2
    assert verified.results["dedup: components split by verification"] == 1
    least = verified.results["dedup: least similarity of a dropped document to the one that stayed"]
    assert least == pytest.approx(min(row["jaccard"] for row in rows if not row["kept"]), abs=1e-5)
    assert all(row["jaccard"] >= 0.8 for row in rows if not row["kept"])
    run(tmp_path / "estimate", inputs, verify="signature", minhash=minhash, verify_threshold=0.8, keep="first")
    assert 2 <= [row["kept"] for row in ledger(tmp_path / "estimate")].count(True) <= 4


def test_keep_first_and_best(tmp_path: Path) -> None:
    text = " ".join(WORDS[:120])
    near = " ".join([*WORDS[:119], "changed", "and", "longer"])
    shards = [["alone " * 30, text, near], [text, near + " ."]]
    quality = [[0.0, 0.2, float("nan")], [0.9, 0.5]]
    inputs = write_source(tmp_path / "source", shards, quality=quality)
    run(tmp_path / "first", inputs, keep="first")
    assert [r["kept"] for r in ledger(tmp_path / "first")] == [True, True, False, False, False]
    run(tmp_path / "best", inputs, keep="best", keep_signal="quality")
    rows = ledger(tmp_path / "best")
    assert [r["kept"] for r in rows] == [True, False, False, True, False]
    assert {r["duplicate_of"] for r in rows if not r["kept"]} == {rows[3]["doc_id"]}
    run(tmp_path / "lowest", inputs, keep="best", keep_signal="quality", keep_lowest=True)
    assert [r["kept"] for r in ledger(tmp_path / "lowest")] == [True, True, False, False, False]
    with pytest.raises(SchemaError, match="no signal 'perplexity'; it has quality"):
        run(tmp_path / "none", inputs, keep="best", keep_signal="perplexity")
    with pytest.raises(RecipeError, match="keep_signal"):
        DedupSettings(keep="best")


def test_empty_texts_are_duplicates_of_nothing(tmp_path: Path) -> None:
    inputs = write_source(tmp_path / "source", [["", " \n", "!!!", "!!!"], [], ["", "?"]])
    run(tmp_path / "out", inputs)
    rows = ledger(tmp_path / "out")
    assert [r["kept"] for r in rows] == [True, True, True, False, True, True]
    assert rows[3]["filter"] == "exact_duplicate"


def test_exact_only_and_near_only(tmp_path: Path) -> None:
    text, near = " ".join(WORDS[:150]), " ".join([*WORDS[:149], "changed"])
    inputs = write_source(tmp_path / "source", [[text, near, text + "\n"]])
    run(tmp_path / "exact", inputs, minhash=None, keep="first")
    assert [r["filter"] for r in ledger(tmp_path / "exact")] == [None, None, "exact_duplicate"]
    run(tmp_path / "near", inputs, exact=False, keep="first")
    assert [r["filter"] for r in ledger(tmp_path / "near")] == [None, "near_duplicate", "near_duplicate"]


def test_index_of_an_earlier_run(planted: Any, tmp_path: Path) -> None:
    """Old documents against the index are all dropped, new ones stay; the index chains."""
    root, inputs, texts, _ = planted
    run(tmp_path / "old", inputs[:2], write_index=True)
    old = ledger(tmp_path / "old")
    new = write_source(tmp_path / "new", [[texts[0], texts[1] + " postscript", "entirely new " + " ".join(WORDS)]])
    run(tmp_path / "out", new, index=str(tmp_path / "old"), write_index=True)
    rows = ledger(tmp_path / "out")
    assert [r["kept"] for r in rows] == [False, False, True]
    assert {r["duplicate_of"] for r in rows[:2]} <= {r["doc_id"] for r in old if r["kept"]}
    again = write_source(tmp_path / "again", [[texts[0], "entirely new " + " ".join(WORDS)]])
    run(tmp_path / "third", again, index=str(tmp_path / "out"))
    third = ledger(tmp_path / "third")
    assert [r["kept"] for r in third] == [False, False]
    assert third[1]["duplicate_of"] == rows[2]["doc_id"]
    with pytest.raises(SchemaError, match="other MinHash parameters"):
        run(tmp_path / "other", new, index=str(tmp_path / "old"), minhash=MinHashSettings(preset="dolma3"))
    with pytest.raises(InputError, match=r"no index\.json"):
        run(tmp_path / "none", new, index=str(root / "out"))


def test_repeated_lines_of_a_host(tmp_path: Path) -> None:
    def page(name: str) -> str:
        return f"Home | About us\nThe story of {name} and of {name} again\n\nCopyright 2024 Example\nshared everywhere"

    names = ["amber", "basil", "cedar", "daisy"]
    shards = [
        [page(n) for n in names[:2]],
        [page(n) for n in names[2:]],
        ["shared everywhere\nother", "Home | About us"],
    ]
    hosts = [["a.com", "a.com"], ["a.com", "b.com"], ["c.com", "a.com"]]
    inputs = write_source(tmp_path / "source", shards, hosts)
    run(tmp_path / "host", inputs, minhash=None, lines=LineSettings(min_count=3), partitions=2)
    texts = {row["text"] for path in (tmp_path / "host/documents").iterdir() for row in pq.read_table(path).to_pylist()}
    story = "The story of {0} and of {0} again\n"
    assert texts == {story.format(n).rstrip("\n") for n in names[:3]} | {page("daisy"), "shared everywhere\nother"}
    rows = ledger(tmp_path / "host")
    assert [r["lines_removed"] for r in rows] == [3, 3, 3, 0, 0, 1]
    assert rows[5]["filter"] == "duplicate_lines"
    assert all(r["line_bytes_removed"] > 0 for r in rows if r["lines_removed"])
    run(tmp_path / "all", inputs, minhash=None, lines=LineSettings(scope="all", min_count=5, remove="repeats"))
    rows = ledger(tmp_path / "all")
    assert [r["lines_removed"] for r in rows] == [0, 2, 2, 2, 1, 1]


def test_lines_of_dropped_documents_do_not_count(tmp_path: Path) -> None:
    text = "a line\n" + " ".join(WORDS[:80])
    inputs = write_source(tmp_path / "source", [[text, text, text, "a line\nunlike"]])
    run(tmp_path / "out", inputs, lines=LineSettings(scope="all", min_count=3))
    assert [r["lines_removed"] for r in ledger(tmp_path / "out")] == [0, 0, 0, 0]


@pytest.mark.parametrize(("normalisation", "most"), [("fineweb", 9), ("words", 9 * 14)])
def test_a_skewed_bucket_is_one_entry_a_shard(tmp_path: Path, normalisation: Normalisation, most: int) -> None:
    """5,000 pages that differ in a counter are one bucket (of each band): edges stay linear, one page stays."""
    template = " ".join(WORDS[:100])
    shards = [[f"{template} page {500 * s + i}" for i in range(500)] for s in range(10)]
    inputs = write_source(tmp_path / "source", shards)
    context = run(tmp_path / "out", inputs, keep="first", minhash=MinHashSettings(normalisation=normalisation))
    rows = ledger(tmp_path / "out")
    assert [r["kept"] for r in rows].count(True) == 1
    assert rows[0]["cluster_size"] == 5000
    edges = sum(c.counts["edges"] for c in read_commits(context.phase_folder("candidates")))
    assert 9 <= edges <= most


@pytest.mark.parametrize("name", ["articles_100", "articles_1000"])
def test_labelled_articles(shared_data: Path, tmp_path: Path, name: str) -> None:
    """All planted pairs are found and nothing else (the set's authors report the same of their tutorial)."""
    folder = shared_data / "dedup_articles"
    lines = zstandard.ZstdDecompressor().stream_reader((folder / f"{name}.train.zst").read_bytes()).read().decode()
    names, texts = zip(*(line.split(" ", 1) for line in lines.splitlines()), strict=True)
    pairs = {tuple(sorted(line.split())) for line in (folder / f"{name}.truth").read_text().splitlines()}
    inputs = write_source(tmp_path / "source", [texts[: len(texts) // 2], texts[len(texts) // 2 :]])
    run(tmp_path / "out", inputs)
    rows = ledger(tmp_path / "out")
    by_id = {row["doc_id"]: names[i] for i, row in enumerate(rows)}
    found = {tuple(sorted((by_id[r["doc_id"]], by_id[r["duplicate_of"]]))) for r in rows if not r["kept"]}
    assert found == pairs


def test_settings_are_checked() -> None:
    for wrong in (
        {"minhash": {"bands": 3}},
        {"minhash": {"preset": "nobody"}},
    ):
        with pytest.raises(RecipeError):
            msgspec.convert(wrong, DedupSettings).minhash.parameters()  # type: ignore[union-attr]
    for wrong in ({"lines": {"min_count": 1}}, {"verify_threshold": 1.5}, {"partitions": 0}):
        with pytest.raises((RecipeError, msgspec.ValidationError)):
            msgspec.convert(wrong, DedupSettings)
    given = msgspec.convert({"minhash": {"threshold": 0.8, "num_perm": 128}}, DedupSettings)
    assert given.minhash is not None
    assert (given.minhash.parameters().bands, given.minhash.parameters().rows) == (9, 13)
    assert given.similarity() == 0.8


def test_explain_prints_the_curve_of_settings_and_every_preset() -> None:
    text = explain_settings(["minhash.preset=dolma3"])
    assert "26 bands x 11 rows" in text
    assert "90.3%" in text  # at 0.8, as published
    assert "Jaccard similarity of 0.80" in text
    assert "redpajama_v2_09" in text
    assert "9 bands x 13 rows" in explain_settings(["minhash.threshold=0.8", "minhash.num_perm=128"])
    assert "off" in explain_settings(["minhash=null"])
    with pytest.raises(RecipeError):
        explain_settings(["minhash.preset=nobody"])


@pytest.mark.parametrize(
    "shards", [[[]], [["one"]], [["", ""], []], [["x" * 100_000, "x" * 100_000 + "a", "y " * 50_000]]]
)
@pytest.mark.parametrize("externally", [False, True])
def test_odd_corpora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: list[list[str]], externally: bool
) -> None:
    inputs = write_source(tmp_path / "source", shards)
    monkeypatch.setattr(clusters, "DENSE_BYTES", 1 << 40 if externally else 40)
    substring, lines = SubstringSettings(), LineSettings(scope="all")
    context = run(tmp_path / "out", inputs, lines=lines, substring=substring, write_index=True)
    assert sum(commit.kept for commit in context.commits) == sum(map(len, shards))
    against = run(tmp_path / "again", inputs, index=str(tmp_path / "out"))
    assert sum(commit.kept for commit in against.commits) == sum(not text for shard in shards for text in shard)
