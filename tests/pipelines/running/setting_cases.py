"""For every setting of every stage: another value, where it shows, or why it shows nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One setting. value: another than the default; given: what else is set, by path, with and without it."""

    value: Any
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Same:
    """A setting that changes how the work is done and no output: documents, ledger and dropped texts stay."""

    value: Any
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Elsewhere:
    """A setting whose effect takes more than a second, a GPU or several processes: the tests that show it."""

    value: Any
    test: str
    given: dict[str, Any] = field(default_factory=dict)


EXTRACT = {
    "extractor": Case("resiliparse-all"),
    "http_statuses": Case([200, 404]),
    "min_text_characters": Case(60),
    "max_payload_bytes": Case(300),
    "max_text_bytes": Case(60),
    "page_seconds": Elsewhere(0.5, "pipelines/test_extract_stage.py::test_a_page_that_hangs_is_an_error_and_the_rest"),
    "fields": Case({"text": "body"}),
    "group_bytes": Case(100),
    "group_files": Case(1),
}

CLEAN = {
    "language": Case(None),
    "language.keep": Case(["en"]),
    "language.min_score": Case(0.999),
    "language.model": Elsewhere("other.bin", "cleaning/test_chain.py::test_another_language_model_gives_other_labels"),
    "transforms": Case([]),
    "dialect": Case("dolma", {"filters": ["gopher_quality"]}),
    "filters": Case([]),
    "thresholds": Case({"word_count": [90, None]}),
    "thresholds_by_language": Case({"en": {"word_count": [90, None]}}),
    "min_words": Case(90),
    "max_words": Case(90),
}

NEAR = {"exact": False, "keep": "first"}
BEST = {"keep": "best", "keep_signal": "quality"}
LINES = {"lines": {}, "exact": False, "minhash": None}
PASSAGES = {"substring": {"min_tokens": 30}, "exact": False, "minhash": None}
DEDUP = {
    "exact": Case(False, {"minhash": None}),
    "exact_normalisation": Case("none", {"minhash": None}),
    "minhash": Case(None),
    "minhash.preset": Case("olmocr"),
    "minhash.threshold": Case(0.5),
    "minhash.bands": Case(20, {"minhash.rows": 5}),
    "minhash.rows": Case(4, {"minhash.bands": 20}),
    "minhash.num_perm": Case(128),
    "minhash.shingle": Case("character"),
    "minhash.ngram": Case(3),
    "minhash.hash": Case("sha1"),
    "minhash.scheme": Case("legacy"),
    "minhash.seed": Case(2),
    "verify": Case("off", {**NEAR, "minhash.preset": "olmocr"}),
    "verify_threshold": Case(0.99, NEAR),
    "keep": Case("first"),
    "keep_signal": Case("length", {**BEST}),
    "keep_lowest": Case(True, BEST),
    "lines": Case({}, {"exact": False, "minhash": None}),
    "lines.unit": Case("paragraph", LINES),
    "lines.scope": Case("all", LINES),
    "lines.min_count": Case(5, LINES),
    "lines.min_words": Case(9, LINES),
    "lines.remove": Case("repeats", LINES),
    "substring": Case({}, {"exact": False, "minhash": None}),
    "substring.min_tokens": Case(80, PASSAGES),
    "substring.group_mb": Elsewhere(1, "pipelines/dedup/test_dedup_passages.py::test_shards_fall_into_groups_by_size"),
    "index": Case("INDEX"),
    "write_index": Case(True),
    "partitions": Same(3),
    "members_per_partition": Same(1),
    "task_memory_mb": Same(1),
    "component_cap": Elsewhere(2, "pipelines/dedup/test_dedup_skew.py::test_component_cap_cuts_to_stars"),
    "memory_budget_mb": Same(1),
}

TOKENIZE = {
    "tokenizer": Case("TOKENIZER", {"training": {}, "sample": {}}),
    "training.vocabulary_size": Case(500),
    "training.han_alphabet": Case("simplified", {"training.vocabulary_size": 8000}),
    "training.minimum_han_count": Case(1000),
    "training.minimum_character_count": Case(1),
    "training.minimum_pair_count": Case(40),
    "training.maximum_token_characters": Case(3),
    "sample.size": Case(3000),
    "sample.exponent": Case(0.0, {"sample.size": 3000}),
    "sample.document_size": Case(40),
}

SELFCLEAN = {
    "rounds": Case(2),
    "method": Case("single"),
    "folds": Case(3),
    "model": Case({"preset": "tnl-nano", "steps": 2, "batch_size": 1, "sequence_length": 32}),
    "model.overrides": Case({"hidden_size": 64}),
    "model.preset": Case("tnl-tiny"),
    "model.sequence_length": Case(16),
    "model.batch_size": Case(2),
    "model.gpus": Elsewhere(1, "pipelines/train/test_train_settings.py::test_gpus_are_asked_of_the_engine"),
    "model.steps": Case(2),
    "model.threads": Same(2),
    "model.device": Elsewhere("cuda", "model/test_planning.py::test_a_device_that_is_not_there_is_named"),
    "model.learning_rate": Case(0.1),
    "tokenizer": Case("TOKENIZER", {"vocabulary_size": 8192}),
    "vocabulary_size": Case(600),
    "strata": Case(["source"]),
    "drop_high": Case(0.4),
    "drop_low": Case(0.4),
    "min_stratum": Case(1000),
    "stop_share": Case(0.9, {"rounds": 2}),
    "sample": Case(1),
}

WSD = {"schedule": "wsd"}
TRAIN = {
    "preset": Case("tnl-tiny", {"model": {}}),
    "model": Case({"hidden_size": 64, "glu_size": 48}),
}
