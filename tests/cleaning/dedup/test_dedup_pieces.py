"""Parameters, clusters, verification and exact keys against datasketch, networkx and brute force."""

import tempfile
from pathlib import Path

import networkx
import numpy as np
import pyarrow as pa
import pytest
from datasketch.lsh import _optimal_param
from hypothesis import given, settings
from hypothesis import strategies as st

from autoclave.cleaning.dedup import external, external_stars
from autoclave.cleaning.dedup.clusters import components, cut_components, dense_components, join_stars
from autoclave.cleaning.dedup.differences import differences, format_differences
from autoclave.cleaning.dedup.exact import content_keys, group_exact
from autoclave.cleaning.dedup.external import external_components
from autoclave.cleaning.dedup.lsh import band_keys, star_edges, unique_edges
from autoclave.cleaning.dedup.minhash import (
    PRESETS,
    MinHashParameters,
    detection_probability,
    explain_preset,
    half_point,
    optimum_bands,
    preset_parameters,
)
from autoclave.cleaning.dedup.verification import ALL_PAIRS, Members, choose_representatives
from autoclave.errors import RecipeError, SchemaError


@pytest.mark.parametrize("threshold", [0.4, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("num_perm", [64, 112])
def test_optimum_bands_are_datasketchs(threshold: float, num_perm: int) -> None:
    assert optimum_bands(threshold, num_perm) == _optimal_param(threshold, num_perm, 0.5, 0.5)


def test_detection_curve_against_drawn_signatures() -> None:
    """Share of pairs of random signatures with each element equal with probability s that meet in some band."""
    rng = np.random.default_rng(0)
    for s in (0.6, 0.75, 0.85):
        left = rng.integers(0, 2**32, (4000, 112), dtype=np.uint32)
        right = np.where(rng.random(left.shape) < s, left, rng.integers(0, 2**32, left.shape, dtype=np.uint32))
        found = (band_keys(left, 14, 8) == band_keys(right, 14, 8)).any(axis=1).mean()
        expected = float(detection_probability(s, 14, 8))
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000)


def test_published_points_of_the_presets() -> None:
    published = {"fineweb": 0.924, "nemo": 0.677, "dolma3": 0.903, "redpajama_v2": 0.867, "data_juicer": 0.997}
    for name, at_08 in published.items():
        parameters = preset_parameters(name)
        assert float(detection_probability(0.8, parameters.bands, parameters.rows)) == pytest.approx(at_08, abs=6e-4)
    for name in PRESETS:
        parameters = preset_parameters(name)
        point = half_point(parameters.bands, parameters.rows)
        assert float(detection_probability(point, parameters.bands, parameters.rows)) == pytest.approx(0.5)
        assert PRESETS[name].source in explain_preset(name)


def test_parameters_that_disagree_are_refused() -> None:
    mine = preset_parameters("fineweb")
    mine.require_equal(preset_parameters("fineweb"), "here")
    with pytest.raises(SchemaError, match="seed 2 there, 1 here"):
        mine.require_equal(preset_parameters("fineweb", seed=2), "index")
    with pytest.raises(RecipeError, match="112 permutations"):
        MinHashParameters(bands=14, rows=8, num_perm=100)
    with pytest.raises(RecipeError, match="not known"):
        preset_parameters("no such")


EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=60)


@given(EDGES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_components_are_networkxs(edges: list[tuple[int, int]]) -> None:
    left, right = (np.array(side, np.uint64) << np.uint64(30) for side in zip(*edges, strict=True))
    nodes, labels = components(left, right)
    graph = networkx.Graph(list(zip(left.tolist(), right.tolist(), strict=True)))
    expected = {node: min(members) for members in networkx.connected_components(graph) for node in members}
    assert dict(zip(nodes.tolist(), labels.tolist(), strict=True)) == expected


@given(EDGES, st.integers(2, 10))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_stars_are_maximal_and_small_components_stay(edges: list[tuple[int, int]], cap: int) -> None:
    left, right = (np.array(side, np.int64) for side in zip(*edges, strict=True))
    left, right = unique_edges(left, right)
    whole = dense_components(left, right, 41)
    label = whole.copy()
    small = np.bincount(whole, minlength=41)[whole] <= cap
    join_stars(label, left, right, ~small)
    np.testing.assert_array_equal(label[small], whole[small])
    pairs = set(zip(left.tolist(), right.tolist(), strict=True))
    for node in np.flatnonzero(~small).tolist():
        centre = int(label[node])
        assert label[centre] == centre
        assert centre == node or (centre, node) in pairs
        if centre == node:  # a centre has no smaller neighbour that is one
            assert not any(r == node and label[low] == low for low, r in pairs)


def test_a_bucket_gives_a_star_and_the_same_components_as_all_pairs() -> None:
    rng = np.random.default_rng(1)
    keys = np.sort(rng.integers(0, 20, 60).astype(np.uint64))
    documents = np.arange(60, dtype=np.uint64)
    anchors, members, first = star_edges(keys, documents)
    assert len(anchors) == 60 - len(np.unique(keys))
    assert first.sum() == len(np.unique(keys))
    for anchor, member in zip(anchors, members, strict=True):
        assert keys[int(anchor)] == keys[int(member)]
        assert anchor == documents[keys == keys[int(member)]].min()


def test_unique_edges_drops_loops_and_repeats() -> None:
    left, right = unique_edges(np.array([3, 1, 2, 5, 1]), np.array([1, 3, 2, 4, 3]))
    assert (left.tolist(), right.tolist()) == ([1, 4], [3, 5])


def _members(sets: list[set[int]], component: list[int], fixed: set[int] = frozenset()) -> Members:  # type: ignore[assignment]
    hashes = np.concatenate([np.array(sorted(s), np.uint32) for s in sets])
    bounds = np.concatenate([[0], np.cumsum([len(s) for s in sets])]).astype(np.int64)
    flags = np.array([i in fixed for i in range(len(sets))])
    return Members(
        np.array(component, np.uint64), bounds[:-1], bounds[1:], hashes, np.zeros((len(sets), 0), np.uint32), flags
    )


def _jaccard(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b)


def _families(rng: np.random.Generator, families: int, copies: int, changes: int = 40) -> list[set[int]]:
    sets = []
    for _ in range(families):
        base = rng.integers(0, 2**32, 300)
        for _ in range(copies):
            own = base.copy()
            changed = rng.integers(0, 300, int(rng.integers(0, changes)))
            own[changed] = rng.integers(0, 2**32, changed.size)
            sets.append(set(own.tolist()))
    return sets


def test_small_components_follow_the_definition_exactly() -> None:
    """Greedy over brute-force Jaccard: the most similar earlier representative at or above the threshold."""
    sets = _families(np.random.default_rng(5), 6, 8)
    threshold = 0.8
    chosen, similarity = choose_representatives(
        _members(sets, [0] * len(sets)), threshold, preset_parameters("fineweb")
    )
    representatives: list[int] = []
    for i, own in enumerate(sets):
        values = [(_jaccard(own, sets[r]), -r) for r in representatives]
        best, at = max(values, default=(0.0, 0))
        if best >= threshold:
            assert chosen[i] == -at
            assert similarity[i] == pytest.approx(best)
        else:
            assert chosen[i] == i
            representatives.append(i)
    assert 6 <= len(representatives) < len(sets)


def test_large_components_remove_nothing_unlike_and_find_what_lsh_finds() -> None:
    rng = np.random.default_rng(6)
    sets = _families(rng, 60, 6, 16)
    assert len(sets) > ALL_PAIRS
    parameters = preset_parameters("fineweb")
    chosen, similarity = choose_representatives(_members(sets, [7] * len(sets)), 0.75, parameters)
    for i, representative in enumerate(chosen.tolist()):
        assert chosen[representative] == representative
        if representative != i:
            assert similarity[i] == pytest.approx(_jaccard(sets[i], sets[representative]))
            assert similarity[i] >= 0.75
    missed = pairs = 0
    stay = np.flatnonzero(chosen == np.arange(len(sets))).tolist()
    for family in range(60):
        members = range(6 * family, 6 * family + 6)
        for i in members:
            for r in (r for r in members if r < i and r in stay):
                if _jaccard(sets[i], sets[r]) >= 0.9:
                    pairs += 1
                    missed += chosen[i] == i
    assert pairs > 50
    assert missed == 0  # at 0.9 and more fourteen bands of eight miss one pair in 3,000


def test_documents_of_an_index_stay_whatever_they_resemble() -> None:
    base = set(range(1000))
    sets = [base, base | {5000}, base | {6000}]
    chosen, _ = choose_representatives(_members(sets, [0, 0, 0], {0, 1}), 0.8, preset_parameters("fineweb"))
    assert chosen[:2].tolist() == [0, 1]
    assert chosen[2] in (0, 1)


def test_chains_of_weak_similarity_do_not_wipe_out_a_component() -> None:
    """A sliding window: neighbours resemble one another, the ends do not; transitive closure would leave one."""
    sets = [set(range(20 * i, 20 * i + 200)) for i in range(40)]
    chosen, similarity = choose_representatives(_members(sets, [0] * 40), 0.75, preset_parameters("fineweb"))
    assert similarity.min() >= 0.75
    assert len(set(chosen.tolist())) >= 13


def test_exact_keys_ignore_white_space_only() -> None:
    text = pa.array(["a  b\n", " a b", "a\u00a0\u3000b", "ab", "", " \n\t", "A b", "a b"])
    keys, sizes = content_keys(text)
    assert len({tuple(key) for key in keys[[0, 1, 2, 7]].tolist()}) == 1
    assert len({tuple(key) for key in keys.tolist()}) == 4  # a b, ab, nothing, A b
    assert sizes.tolist() == [3, 3, 3, 2, 0, 0, 3, 3]
    raw, raw_sizes = content_keys(text, "none")
    assert len({tuple(key) for key in raw.tolist()}) == 8
    assert raw_sizes.tolist() == [5, 4, 7, 2, 0, 3, 3, 3]


def test_group_exact_leads_with_the_preferred_document() -> None:
    keys = np.array([[1, 1], [2, 2], [1, 1], [2, 2], [1, 1]], np.uint64)
    score = np.array([1.0, 5.0, 3.0, 5.0, 3.0])
    order, leader = group_exact(keys, score, np.arange(5, dtype=np.uint64))
    leads = {int(row): int(order[at]) for row, at in zip(order, leader, strict=True)}
    assert leads == {0: 2, 2: 2, 4: 2, 1: 1, 3: 1}


def external_labels(batches: list[tuple[np.ndarray, np.ndarray]], nodes: int, width: int) -> np.ndarray:
    """int64[nodes]: labels found with ranges of `width` nodes."""
    label = np.arange(nodes)
    with tempfile.TemporaryDirectory() as folder:
        for found, labels in external_components(batches, nodes, Path(folder), 2 * external.NODE_BYTES * width):
            label[found.astype(np.int64)] = labels
    return label


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=120), st.integers(1, 70))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_external_components_are_networkxs(edges: list[tuple[int, int]], width: int) -> None:
    left, right = np.array(edges, np.uint64).reshape(-1, 2).T
    batches = [(left[i : i + 7], right[i : i + 7]) for i in range(0, left.size, 7)]
    found = external_labels(batches, 61, width)
    graph = networkx.Graph(edges)
    graph.add_nodes_from(range(61))
    expected = {node: min(members) for members in networkx.connected_components(graph) for node in members}
    assert found.tolist() == [expected[node] for node in range(61)]


@given(EDGES, st.integers(1, 12), st.integers(1, 45))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_external_stars_are_those_of_memory(edges: list[tuple[int, int]], cap: int, width: int) -> None:
    left, right = unique_edges(*(np.array(side, np.int64) for side in zip(*edges, strict=True)))
    expected = dense_components(left, right, 41)
    sizes = np.bincount(expected, minlength=41)
    members = np.flatnonzero(sizes[expected] > cap)
    found = expected.copy()
    found[members] = members
    join_stars(expected, left, right, sizes[expected] > cap)
    with tempfile.TemporaryDirectory() as folder:
        large = external.Spool(Path(folder, "large"), -(-41 // width), 1)
        large.add(members // width, members)
        memory = external_stars.RANGE_NODE_BYTES * width
        stars = external_stars.external_stars([(left, right)], 41, large, Path(folder, "stars"), memory)
        for nodes, centres in stars:
            found[nodes.astype(np.int64)] = centres
    np.testing.assert_array_equal(found, expected)


@given(EDGES, st.integers(1, 12))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_component_is_larger_than_the_cap(edges: list[tuple[int, int]], cap: int) -> None:
    """Those within it stay as they are; the others fall into stars, or runs of one, headed by their first node."""
    left, right = unique_edges(*(np.array(side, np.int64) for side in zip(*edges, strict=True)))
    whole = dense_components(left, right, 41)
    label = whole.copy()
    cut = cut_components(label, left, right, cap)
    assert cut == (np.bincount(whole) > cap).sum()
    small = np.bincount(whole, minlength=41)[whole] <= cap
    assert (label[small] == whole[small]).all()
    assert np.bincount(label).max() <= cap
    near = {frozenset(edge) for edge in zip(left.tolist(), right.tolist(), strict=True)}
    for name in set(label[~small].tolist()):
        nodes = np.flatnonzero(label == name).tolist()
        assert nodes[0] == name
        centres = [c for c in range(41) if all(n == c or frozenset((c, n)) in near for n in nodes)]
        assert centres, f"{nodes} have no neighbour in common"


def test_a_bucket_larger_than_the_cap_falls_into_runs() -> None:
    label = np.zeros(10, np.int64)
    assert cut_components(label, np.zeros(9, np.int64), np.arange(1, 10), 4) == 1
    assert label.tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]


@pytest.mark.parametrize("kind", ["path", "sparse", "dense", "star"])
@pytest.mark.parametrize("width", [400, 7000])
def test_external_components_are_those_of_union_find_and_scipy(kind: str, width: int) -> None:
    """A shuffled path is the hard case of label propagation, a star that of partitions by node."""
    from scipy.sparse import coo_matrix, csgraph

    rng, nodes = np.random.default_rng(9), 20_000
    order = rng.permutation(nodes)
    left, right = {
        "path": (order[:-1], order[1:]),
        "sparse": rng.integers(0, nodes, (2, nodes // 2)),
        "dense": rng.integers(0, nodes, (2, 4 * nodes)),
        "star": (order, np.full(nodes, order[0])),
    }[kind]
    batches = list(zip(np.array_split(left, 9), np.array_split(right, 9), strict=True))
    found = external_labels(batches, nodes, width)
    np.testing.assert_array_equal(found, dense_components(left, right, nodes))
    graph = coo_matrix((np.ones(left.size), (left, right)), (nodes, nodes))
    count, peer = csgraph.connected_components(graph, directed=False)
    assert np.unique(found).size == count
    assert np.unique(np.stack([found, peer]), axis=1).shape[1] == count


@given(st.text(alphabet="ab 中文.\n", max_size=40), st.text(alphabet="ab 中文.\n", max_size=40))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_differences_give_both_texts_back(kept: str, dropped: str) -> None:
    found = differences(kept, dropped)
    assert "".join(s.text for s in found if s.kind != "dropped") == kept
    assert "".join(s.text for s in found if s.kind != "kept") == dropped


def test_differences_are_marked_and_common_parts_elided() -> None:
    common = "word " * 100
    text = format_differences(differences(f"{common}2023 {common}", f"{common}2024 {common}"), context=10)
    assert "[-2023-]{+2024+}" in text
    assert len(text) < 120
    assert format_differences(differences("same text", "same text")) == "same text"
