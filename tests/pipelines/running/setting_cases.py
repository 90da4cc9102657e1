"""For every setting of every stage: another value, where it shows, or why it shows nowhere."""

from __future__ import annotations

from collections.abc import Mapping
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
class Raises:
    """A setting with which the stage ends in an error; without it, it does not."""

    value: Any
    message: str
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Elsewhere:
    """A setting whose effect takes models, several processes or a GPU: the test that shows it, or why there is none."""

    value: Any
    test: str
    given: dict[str, Any] = field(default_factory=dict)


EXTRACT = {
    "extractor": Case("resiliparse-all"),
    "http_statuses": Case([200, 404]),
    "min_text_characters": Case(60),
    "max_payload_bytes": Case(300),
    "max_text_bytes": Case(60),
    "max_replaced_share": Case(0),
    "page_seconds": Elsewhere(0.5, "pipelines/test_extract_stage.py::test_a_page_that_hangs_is_an_error_and_the_rest"),
    "fields": Case({"text": "body"}),
    "group_bytes": Case(100),
    "group_files": Case(1),
    "split_bytes": Elsewhere(1500, "pipelines/test_extract_pieces.py::test_pieces_give_what_the_file_gives"),
    "paths_base": Elsewhere("/srv", "corpus/inputs/test_path_lists.py::test_lines_of_all_kinds"),
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
    "minhash.bands": Case(20, {"minhash.bands": 14, "minhash.rows": 5}),
    "minhash.rows": Case(4, {"minhash.bands": 20, "minhash.rows": 5}),
    "minhash.num_perm": Case(128),
    "minhash.shingle": Case("character"),
    "minhash.ngram": Case(3),
    "minhash.normalisation": Case("whitespace"),
    "minhash.min_units": Case(200),
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
    "lines.normalisation": Case("words", LINES),
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

ROOM = {"training.vocabulary_size": 600}
TOKENIZE = {
    "tokenizer": Case("TOKENIZER", {"training": {}, "sample": {}}),
    "training.vocabulary_size": Case(500),
    "training.han_alphabet": Case("simplified", {"training.vocabulary_size": 8000}),
    "training.minimum_han_count": Case(1000, ROOM),
    "training.minimum_character_count": Case(1, ROOM),
    "training.minimum_pair_count": Case(40),
    "training.maximum_token_characters": Case(3),
    "sample.size": Case(3000),
    "sample.exponent": Case(0.0, {"sample.size": 3000}),
    "sample.document_size": Case(40),
}

SELFCLEAN_STAGE, DECISIONS = "pipelines/test_selfclean_stage.py", "cleaning/selfclean/test_decisions.py"
SELFCLEAN = {
    "rounds": Elsewhere(2, f"{SELFCLEAN_STAGE}::test_rounds_stop_and_say_why"),
    "method": Case("single"),
    "folds": Case(3),
    "model.overrides": Case({"layers": 1}),
    "model.preset": Case("tnl-tiny"),
    "model.sequence_length": Case(16),
    "model.batch_size": Case(2),
    "model.gpus": Case(1),
    "model.steps": Case(2),
    "model.epochs": Case(0.02, {"model.steps": None, "model.most_tokens": 200}),
    "model.most_tokens": Case(100, {"model.steps": None}),
    "model.threads": Case(2),
    "model.device": Raises("cuda:99", "'cuda:99' is not there"),
    "model.learning_rate": Case(0.1),
    "trusted": Raises("nowhere.jsonl", "nowhere.jsonl"),
    "early": Case(True),
    "labels": Raises("nowhere", "has no sample.jsonl", {"method": "combined"}),
    "tokenizer": Case("TOKENIZER", {"vocabulary_size": 8192}),
    "vocabulary_size": Case(600),
    "strata": Case(["source"]),
    "drop_high": Elsewhere(0.4, f"{DECISIONS}::test_bands_never_drop_more_than_the_share"),
    "drop_low": Elsewhere(0.4, f"{DECISIONS}::test_bands_never_drop_more_than_the_share"),
    "min_stratum": Elsewhere(1000, f"{DECISIONS}::test_a_small_stratum_leans_on_its_parent_and_on_no_other_language"),
    "least_chance": Case(0.1, {"method": "combined"}),
    "topics": Elsewhere(
        3,
        "cleaning/selfclean/test_methods.py::test_topics_are_clusters_of_each_folds_own_space",
        {"strata": ["language", "topic"]},
    ),
    "floor": Elsewhere(0.1, f"{SELFCLEAN_STAGE}::test_a_group_that_would_lose_too_much_is_kept"),
    "floor_documents": Elsewhere(5, f"{SELFCLEAN_STAGE}::test_a_group_that_would_lose_too_much_is_kept"),
    "confirmed": Elsewhere(["x"], f"{SELFCLEAN_STAGE}::test_a_group_that_would_lose_too_much_is_kept"),
    "stop_share": Elsewhere(0.9, f"{SELFCLEAN_STAGE}::test_rounds_stop_and_say_why"),
    "fit_documents": Case(3),
    "sample": Case(1),
}

WSD = {"schedule": "wsd"}
EACH = {"checkpoint_every": 1}
LOOP, PARALLEL = "model/training/test_training_loop.py", "model/parallel/test_parallel.py"
TRAIN = {
    "preset": Case("tnl-tiny"),
    "model": Case({"layers": 1}),
    "sequence_length": Case(16),
    "batch_size": Case(1),
    "workers": Elsewhere(2, "pipelines/train/test_distributed_training.py::test_ray_trains_as_one_process"),
    "gpus": Elsewhere(1, "needs a GPU and a Ray cluster; ray_group.py asks for it"),
    "steps": Case(3),
    "accumulation": Case(2),
    "z_loss": Case(0.001),
    "threads": Elsewhere(2, f"{LOOP}::test_activation_checkpointing_and_threads_do_not_change_the_model"),
    "device": Raises("cuda:99", "'cuda:99' is not there"),
    "precision": Case("bfloat16"),
    "compile": Elsewhere(True, f"{LOOP}::test_compiled_layers_follow_plain_ones"),
    "activation_checkpointing": Elsewhere(
        "full", f"{LOOP}::test_activation_checkpointing_and_threads_do_not_change_the_model"
    ),
    "tensor_parallel": Elsewhere(2, f"{PARALLEL}::test_two_processes_train_as_one"),
    "sequence_parallel": Elsewhere(2, f"{PARALLEL}::test_four_processes_share_long_sequences"),
    "checkpoint_every": Case(1, {"keep_checkpoints": 9}),
    "keep_checkpoints": Case(1, EACH),
    "tensorboard": Case(True),
    "max_skipped": Elsewhere(1, f"{LOOP}::test_a_step_that_is_not_finite_is_skipped_and_reported"),
    "learning_rate": Case(0.1),
    "minimum_ratio": Case(0.5),
    "warmup_steps": Case(3),
    "schedule": Case("constant"),
    "decay_share": Case(0.9, WSD),
    "beta1": Case(0.5),
    "beta2": Case(0.5),
    "epsilon": Case(0.1),
    "weight_decay": Case(10.0),
    "clip_norm": Case(0.01),
}

BASES: dict[str, dict[str, Any]] = {
    "extract": {},
    "clean": {},
    "dedup": {},
    "tokenize": {"training": {"vocabulary_size": 430, "han_alphabet": "none"}},
    "selfclean": {
        "vocabulary_size": 512, "min_stratum": 5,
        "model": {"preset": "tnl-nano", "steps": 1, "batch_size": 1, "sequence_length": 32},
    },
    "train": {
        "preset": "tnl-nano", "model": {"hidden_size": 32, "glu_size": 48}, "steps": 4, "sequence_length": 32,
        "batch_size": 2, "warmup_steps": 1, "checkpoint_every": 2, "device": "cpu",
    },
}  # fmt: skip
"""What every run of a stage here begins with."""

CASES: dict[str, Mapping[str, Case | Same | Raises | Elsewhere]] = {
    "extract": EXTRACT, "clean": CLEAN, "dedup": DEDUP, "selfclean": SELFCLEAN, "tokenize": TOKENIZE, "train": TRAIN,
}  # fmt: skip
"""Stage -> path of a setting -> its case."""

PERPLEXITY = "cleaning/ngram_model/test_ngram_model.py"
TRACES, QUALITY = "cleaning/decontamination/test_decontamination.py", "cleaning/classifier/test_quality.py"
OPTIONS: dict[str, Case | Elsewhere] = {
    "redact_pii.kinds": Case(["phone"]),
    "redact_pii.replacement": Case("(gone)"),
    "c4@LineRules.terminal_punctuation": Case(False),
    "c4@LineRules.single_quote": Case(False),
    "c4@LineRules.min_words_per_line": Case(12),
    "c4@LineRules.max_word_length": Case(2000),
    "c4@LineRules.citations": Case(False),
    "c4@LineRules.javascript": Case(False),
    "c4@LineRules.policy": Case(False),
    "c4@LineRules.strip_lines": Case(False),
    "c4@DolmaRules.terminal_punctuation": Case(False),
    "c4@DolmaRules.min_words_per_line": Case(12),
    "c4@CuratorRules.cut_boilerplate": Case(False),
    "perplexity@PerplexityRules.models": Elsewhere({"en": "x"}, f"{PERPLEXITY}::test_filter_gives_signals_and_drops"),
    "perplexity@PerplexityRules.tokenizers": Elsewhere({"en": "x"}, f"{PERPLEXITY}::test_a_tokenizer_cuts_the_text"),
    "perplexity@PerplexityRules.normalisation": Elsewhere("none", f"{PERPLEXITY}::test_normaliser_is_ccnets"),
    "perplexity@PerplexityRules.cutoffs": Elsewhere({"en": [1.0, 2.0]}, f"{PERPLEXITY}::test_buckets"),
    "perplexity@PerplexityRules.scorer": Elsewhere("own", f"{PERPLEXITY}::test_scores_are_those_of_kenlm"),
    "quality_classifier@ClassifierRules.model": Elsewhere("x", f"{QUALITY}::test_filter_scores_and_drops"),
    "quality_classifier@ClassifierRules.positive": Elsewhere("x", f"{QUALITY}::test_filter_scores_and_drops"),
    "quality_classifier@ClassifierRules.threshold": Elsewhere(0.5, f"{QUALITY}::test_filter_scores_and_drops"),
    "decontamination@DecontaminationRules.index": Elsewhere(
        "x", f"{TRACES}::test_an_index_is_saved_and_gives_the_same"
    ),
    "decontamination@DecontaminationRules.sets": Elsewhere(["x"], f"{TRACES}::test_whole_documents_are_dropped"),
    "decontamination@DecontaminationRules.action": Elsewhere("spans", f"{TRACES}::test_spans_are_cut_out"),
    "decontamination@DecontaminationRules.margin": Elsewhere(1, f"{TRACES}::test_spans_are_cut_out"),
    "decontamination@DecontaminationRules.ngram": Elsewhere({"least": 3}, f"{TRACES}::test_units_of_any_text"),
}
"""Options of transforms, and rules of filters by the type that holds them."""
