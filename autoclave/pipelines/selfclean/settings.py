"""Settings of the self-cleaning stage. No torch in here: recipes are checked before any model is made."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from autoclave.cleaning.selfclean.thresholds import StratumKey


class EvaluationModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model that scores, and how it is trained."""

    preset: str = "tnl-tiny"
    """tnl-385m at scale (as the paper); tnl-tiny on a laptop."""
    overrides: dict[str, Any] = {}
    """Fields of the model's configuration to change."""
    steps: int = 200
    batch_size: int = 8
    """Rows a step."""
    sequence_length: int = 512
    learning_rate: float = 2e-3
    threads: int = 1
    """CPU threads of one training or scoring task; results are the same bytes for one value of it."""
    gpus: float = 0
    """GPUs of one task (Ray); 0 leaves the device to what the machine has."""
    device: str = "auto"


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
