"""Settings of the self-cleaning stage. No torch in here: recipes are checked before any model is made."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from autoclave.cleaning.selfclean.thresholds import StratumKey
from autoclave.pipelines.running.derived import derive_settings, refuse_idle
from autoclave.pipelines.train.settings import TrainStageSettings, check_model


class _Overrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    overrides: dict[str, Any] = {}
    """Fields of the model's configuration to change."""


_ModelSettings: Any = derive_settings(
    "_ModelSettings",
    (TrainStageSettings,),
    base=_Overrides,
    only=("preset", "steps", "batch_size", "sequence_length", "learning_rate", "threads", "gpus", "device"),
    defaults={"learning_rate": 2e-3},
)


class EvaluationModel(_ModelSettings):
    """The model that scores, and how it is trained: keys of the train stage, a lower peak of the learning rate."""


class SelfcleanSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the corpus cleans itself."""

    rounds: int = 1
    """Turns of train, score, drop at most."""
    method: Literal["cross-fit", "single"] = "cross-fit"
    """cross-fit: a document is scored only by a model that did not train on it; single: one model, which is biased
    towards what it memorised."""
    folds: int = 2
    """Models a round, for cross-fit."""
    model: EvaluationModel = EvaluationModel()
    """The model that scores, and how it is trained: tnl-385m at scale (as the paper), tnl-tiny on a laptop."""
    tokenizer: str | None = None
    """A tokenizer.json; without one, one is trained on the corpus."""
    vocabulary_size: int = 8192
    """Of the tokenizer that is trained."""
    strata: tuple[StratumKey, ...] = ("language", "length", "source")
    """Quantiles are taken within these; a small stratum falls back on the one without the last key."""
    drop_high: float = 0.1
    """Largest share of a stratum that is dropped for scoring high (garbage)."""
    drop_low: float = 0.02
    """Largest share of a stratum that is dropped for scoring low (repetition, boilerplate)."""
    min_stratum: int = 100
    """Fewest documents that a quantile is taken of."""
    stop_share: float = 0.002
    """No further round where a round drops a smaller share of its documents."""
    sample: int = 50
    """Documents of each group (kept, borderline, dropped) written out for people to judge."""

    def __post_init__(self) -> None:
        if not 0 <= self.drop_high < 1 or not 0 <= self.drop_low < 1 or self.drop_high + self.drop_low >= 1:
            raise ValueError("drop_low and drop_high are shares, together below 1")
        if self.rounds < 1 or self.folds < 2:
            raise ValueError("rounds is at least 1 and folds at least 2")
        if self.method == "single":
            refuse_idle(self, ["folds"], "selfclean", "with method: single")
        if self.tokenizer is not None:
            refuse_idle(self, ["vocabulary_size"], "selfclean", "where a tokenizer is given")
        counts = (self.model.steps, self.model.sequence_length, self.model.batch_size, self.model.threads)
        if min(counts) < 1:
            raise ValueError("model: steps, sequence_length, batch_size and threads must be at least 1")
        check_model(self.model.preset, self.model.overrides, "selfclean.model.overrides")

    @property
    def models(self) -> int:
        """How many models a round trains."""
        return self.folds if self.method == "cross-fit" else 1


class NoSettings(msgspec.Struct, frozen=True):
    """For phases that depend on no setting, so that changing one does not redo them."""


class FoldSettings(msgspec.Struct, frozen=True):
    """What the fold files of a round depend on."""

    models: int
    strata: tuple[StratumKey, ...]
