"""Fit the model that chooses the blocks of main text, and write it into the package.

    python -m benchmarks.extraction.fit [--out autoclave/assets/main_content.npz] [--check]

Boosted trees (scikit-learn's histogram gradient boosting) on the features of 150,000 blocks of the open sets, labelled by
their right texts (`benchmarks.extraction.labels`). Five folds by site are fitted first, so that each page is judged by
trees that have not seen its site: the table that is printed is of these (`--check` stops there). The model that is
written is fitted on all pages. One core, a few minutes.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
import trafilatura
from sklearn.ensemble import HistGradientBoostingClassifier

from autoclave.corpus.charset import decode
from autoclave.corpus.extraction import tidy
from autoclave.corpus.html import main_content
from autoclave.kernels.html.features import FEATURES
from autoclave.kernels.html.forest import Forest
from benchmarks.extraction.gold import SETS, pages
from benchmarks.extraction.labels import Labelled, label
from benchmarks.extraction.scores import article_score, segment_score

OUT = Path("autoclave/assets") / main_content.MODEL
FOLDS = 5
# How much a page of each set counts: sets of tools' results and of one site's pages less, the few Chinese pages more.
GROUP_WEIGHTS = {"readability": 0.6, "goose": 0.6, "handbook": 0.2, "chinese": 2.0}
PARAMETERS = {
    "max_iter": 120,
    "learning_rate": 0.1,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 40,
    "l2_regularization": 10.0,
    "max_features": 0.2,
    "random_state": 1,
}


def fold(labelled: Labelled) -> int:
    return zlib.crc32(labelled.page.host.encode()) % FOLDS


def fit(sample: list[Labelled]) -> HistGradientBoostingClassifier:
    """Fit on all blocks of the pages; a page counts with the root of its text's weight."""
    weights = [
        page.weights * GROUP_WEIGHTS.get(page.page.group, 1.0) / max(1.0, page.weights.sum()) ** 0.5 for page in sample
    ]
    return HistGradientBoostingClassifier(**PARAMETERS).fit(
        np.concatenate([page.rows for page in sample]),
        np.concatenate([page.labels for page in sample]),
        sample_weight=np.concatenate(weights),
    )


def export(model: HistGradientBoostingClassifier) -> Forest:
    """The trees in the form of the kernel."""
    trees = [stage[0].nodes for stage in model._predictors]
    roots = np.cumsum([0, *(len(nodes) for nodes in trees)])[:-1].astype(np.int32)
    nodes = np.concatenate(trees)
    shift = np.repeat(roots, [len(tree) for tree in trees])
    leaf = nodes["is_leaf"].astype(bool)
    return Forest(
        roots,
        np.where(leaf, -1, nodes["feature_idx"]).astype(np.int16),
        np.where(leaf, nodes["value"], nodes["num_threshold"]).astype(np.float32),
        (nodes["left"] + shift).astype(np.int32),
        (nodes["right"] + shift).astype(np.int32),
        np.asarray(model._baseline_prediction, np.float64).reshape(1),
    )


def label_all() -> list[Labelled]:
    labelled = []
    for page in pages():
        silver = (trafilatura.extract(decode(page.html).text) or "") if page.text is None else ""
        labelled.append(label(page, silver))
    return [page for page in labelled if len(page.rows)]


def cross_validated_texts(labelled: list[Labelled]) -> dict[str, str]:
    """The text of each page by trees that have not seen its site."""
    texts: dict[str, str] = {}
    usual = main_content.load_model
    try:
        for number in range(FOLDS):
            forest = export(fit([page for page in labelled if fold(page) != number]))
            main_content.load_model = lambda forest=forest: forest  # type: ignore[assignment, misc]
            for page in labelled:
                if fold(page) == number:
                    found = main_content.extract_main_content(decode(page.page.html).text)
                    texts[page.page.name] = tidy(found.text)
    finally:
        main_content.load_model = usual
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="where the model goes")
    parser.add_argument("--check", action="store_true", help="print the cross-validated table and write nothing")
    arguments = parser.parse_args()
    labelled = label_all()
    print(f"{len(labelled)} pages, {sum(len(page.rows) for page in labelled)} blocks")
    texts = cross_validated_texts(labelled)
    print("set            pages     F1      P      R   (each page by trees that have not seen its site)")
    for name in SETS:
        group = [page.page for page in labelled if page.page.group == name]
        score = segment_score if name == "segments" else article_score
        print(f"{name:12} {len(group):7} {' '.join(f'{value:.4f}' for value in score(group, texts))}")
    if not arguments.check:
        forest = export(fit(labelled))
        arguments.out.parent.mkdir(exist_ok=True)
        np.savez_compressed(arguments.out, features=np.array(FEATURES), **forest._asdict())
        print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, {len(forest.roots)} trees")


if __name__ == "__main__":
    main()
