"""Every error that Autoclave raises on purpose.

    AutoclaveError
    ├── RecipeError              the request was wrong: a recipe, an option, a setting        (exit 2)
    ├── InputError               a named input is missing or is not what it was said to be    (exit 2)
    ├── MissingDependencyError   an optional package is needed and absent                     (exit 2)
    ├── SchemaError              two outputs do not fit together: schema, parameters, tokenizer
    ├── ShardError               one shard cannot be processed; the run goes on without it
    ├── DamageError              a file is not what was written: flipped, cut, missing
    ├── CheckpointError          a checkpoint is incomplete, corrupt or of another model
    └── RunError                 the work as a whole failed                                   (exit 1)
        └── MachineError         disk, store, permission, credentials: nothing is wrong with the data

Messages are one line and name the file, the record or the key, and the remedy. What the machine raises (OSError and
its like) becomes a MachineError where it is shown (corpus/machine.py); anything else is a bug in Autoclave, and keeps
its traceback. What a person should know of work that goes on is an AutoclaveWarning, given through the standard
library's `warnings`.
"""

from __future__ import annotations


class AutoclaveError(Exception):
    """Base of all errors with a message meant for the person at the terminal."""

    exit_code = 1


class RecipeError(AutoclaveError):
    """A recipe, an option or a setting is wrong."""

    exit_code = 2


class InputError(AutoclaveError):
    """A named input does not exist or is not what it was said to be."""

    exit_code = 2


class MissingDependencyError(AutoclaveError):
    """An optional package is needed for what was asked."""

    exit_code = 2

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'autoclave[{extra}]'")


class SchemaError(AutoclaveError):
    """Two outputs that must agree (schema version, shared parameters, tokenizer) do not."""


class ShardError(AutoclaveError):
    """One shard cannot be processed; it is quarantined and the run goes on."""


class DamageError(AutoclaveError):
    """A file of ours is not what its checksum says, or is gone; the message says what to do again."""


class CheckpointError(AutoclaveError):
    """A checkpoint is incomplete, corrupt, or belongs to another model."""


class RunError(AutoclaveError):
    """The work as a whole failed."""


class MachineError(RunError):
    """The machine, not the data, is at fault: a full disk, a store that is down, a permission. The run can be resumed.

    passing: whether trying again after a moment may help (a store that does not answer)
    """

    def __init__(self, message: str, passing: bool = False) -> None:
        super().__init__(message, passing)
        self.message, self.passing = message, passing

    def __str__(self) -> str:
        return self.message


class AutoclaveWarning(UserWarning):
    """Something was mended, left out or switched off, and the work goes on."""
