"""Settings of the self-cleaning stage. No torch in here: recipes are checked before any model is made."""

from __future__ import annotations

from typing import Any

import msgspec

from autoclave.cleaning.selfclean.decisions import Rules
from autoclave.cleaning.selfclean.methods import load_method
from autoclave.cleaning.selfclean.thresholds import StratumKey
from autoclave.pipelines.running.derived import derive_settings, refuse_idle
from autoclave.pipelines.train.settings import TrainStageSettings, check_model


class _Overrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overrides: dict[str, Any] = {}
    """Fields of the model's configuration to change."""
    steps: int | None = None
    """Optimizer steps; null: as many as `epochs` take."""
    epochs: float = 1.0
    """Passes over what a model trains on, where `steps` is null; `most_tokens` bounds them."""
    most_tokens: int = 20_000_000
    """Tokens of a training at most, where `steps` is null: rows are drawn at random from all of the corpus."""


_ModelSettings: Any = derive_settings(
    "_ModelSettings",
    (TrainStageSettings,),
    base=_Overrides,
    only=("preset", "batch_size", "sequence_length", "learning_rate", "threads", "gpus", "device"),
    defaults={"learning_rate": 2e-3},
)


class EvaluationModel(_ModelSettings):
    """The model that scores, and how it is trained: keys of the train stage, a lower peak of the learning rate."""


class SelfcleanSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the corpus cleans itself."""

    rounds: int = 1
    """Turns of train, score, drop at most."""
    method: str = "cross-fit"
    """cross-fit: a document is scored only by a model that did not train on it; single: one model, which is biased
    towards what it memorised; trusted: against a model of `trusted` text; combined: all signals, by `labels` where
    there are any; or module:OBJECT, a method of your own."""
    folds: int = 2
    """Models a round, where the method does not say one."""
    model: EvaluationModel = EvaluationModel()
    """The model that scores, and how it is trained: tnl-385m at scale (as the paper), tnl-tiny on a laptop."""
    trusted: str | None = None
    """Text that somebody vouches for, a stage's folder or a file: a small model of it is trained, and each document's
    score is compared with that model's."""
    early: bool = False
    """Score with each model as it was after a fifth of its training as well: twice the time of scoring."""
    labels: str | None = None
    """The sample's folder of an earlier run, in whose sample.jsonl people filled in each label: true for good."""
    tokenizer: str | None = None
    """A tokenizer.json; without one, one is trained on the corpus."""
    vocabulary_size: int = 8192
    """Of the tokenizer that is trained."""
    strata: tuple[StratumKey, ...] = ("language", "length", "source")
    """Limits are found within these; a small stratum leans on the one without the last key, but never on another
    value of the first."""
    drop_high: float = 0.2
    """Largest share of a stratum that is dropped for scoring high (garbage); nothing is where nothing is bad."""
    drop_low: float = 0.02
    """Largest share of a stratum that is dropped for scoring low, of texts that repeat themselves; with methods in bits
    or in differences of bits."""
    min_stratum: int = 100
    """Fewest documents that limits are found of; a first key (a language) with fewer is kept whole."""
    least_chance: float = 0.5
    """A document goes that is bad with at least this chance; with method: combined."""
    topics: int = 16
    """Topics of a fold at most, with `topic` among the strata: clusters of the hidden states of documents."""
    floor: float = 0.5
    """A language, source or host of at least `floor_documents` documents that would lose a larger share loses nothing,
    until it is named in `confirmed`."""
    floor_documents: int = 20
    """Fewer documents are no group."""
    confirmed: tuple[str, ...] = ()
    """Languages, sources and hosts that may lose more than `floor`: a person looked."""
    stop_share: float = 0.002
    """No further round where a round drops a smaller share of its documents."""
    fit_documents: int = 100_000
    """Documents that a method is fitted on, at most."""
    sample: int = 50
    """Documents of each group (kept, borderline, dropped) written out for people to judge."""

    def __post_init__(self) -> None:
        if not 0 <= self.drop_high < 1 or not 0 <= self.drop_low < 1 or self.drop_high + self.drop_low >= 1:
            raise ValueError("drop_low and drop_high are shares, together below 1")
        if self.rounds < 1 or self.folds < 2:
            raise ValueError("rounds is at least 1 and folds at least 2")
        chosen = load_method(self.method)
        if chosen.models == 1:
            refuse_idle(self, ["folds"], "selfclean", f"with method: {self.method}")
        if self.method != "combined":
            refuse_idle(self, ["labels", "least_chance"], "selfclean", "without method: combined")
        if "topic" not in self.strata:
            refuse_idle(self, ["topics"], "selfclean", "without topic among the strata")
        if not 0 < self.least_chance < 1 or self.topics < 1:
            raise ValueError("least_chance is between 0 and 1, and topics at least 1")
        if chosen.columns == ("kenlm_bits_per_byte",):
            raise ValueError("method: the stage trains no n-gram model; use the filter perplexity of the stage clean")
        if chosen.columns == ("trusted_difference",) and self.trusted is None:
            raise ValueError("method: trusted needs text that somebody vouches for; name its folder as trusted")
        if self.tokenizer is not None:
            refuse_idle(self, ["vocabulary_size"], "selfclean", "where a tokenizer is given")
        if self.model.steps is not None:
            refuse_idle(self.model, ["epochs", "most_tokens"], "selfclean.model", "where steps are given")
        counts = (self.model.steps or 1, self.model.sequence_length, self.model.batch_size, self.model.threads)
        if min(counts) < 1 or self.model.epochs <= 0:
            raise ValueError("model: steps, epochs, sequence_length, batch_size and threads must be above 0")
        check_model(self.model.preset, self.model.overrides, "selfclean.model.overrides")

    @property
    def models(self) -> int:
        """How many models a round trains."""
        return load_method(self.method).models or self.folds

    @property
    def rules(self) -> Rules:
        """What decides, of these settings."""
        return Rules(
            self.method, self.strata, self.drop_high, self.drop_low, self.min_stratum, self.least_chance, self.topics
        )


class NoSettings(msgspec.Struct, frozen=True):
    """For phases that depend on no setting, so that changing one does not redo them."""


class FoldSettings(msgspec.Struct, frozen=True):
    """What the fold files of a round depend on."""

    models: int


class ScoreSettings(msgspec.Struct, frozen=True):
    """What the scores of a round depend on, beside its files and models."""

    model: EvaluationModel
