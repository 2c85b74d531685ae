"""Every exception that Sluice raises, so that a caller can see at a glance what may go wrong.

SluiceError                      says what, where and what to do; carries the exit code of the CLI
├── RecipeError            (2)   the recipe is wrong: file, line and field
│   ├── RuleError          (2)   a rule's expression is wrong: with its position
│   └── PlanError          (2)   the steps contradict each other
├── UsageError             (2)   the command or call is wrong
│   └── SourceError        (2)   the source is missing, empty or of an unknown format
├── MissingError           (3)   this machine lacks an extra, a model, a codec, credentials
├── StorageError           (1)   bytes could not be read from or written to a location
│   └── NotFoundError      (1)   there is nothing at that location
├── RunError               (1)   a run ended without what it promised
│   ├── TooManyFailuresError (1) more samples failed than `max_failed` allows (or any, with --strict)
│   ├── VerifyError        (1)   a finished run violates what it promised
│   ├── TrialError         (1)   one training or evaluation gave no result: a failed arm, with its reason
│   └── InterruptedRunError (130) Ctrl-C; the run can be continued
└── SampleError                  one sample's or item's trouble: counted, never ends a run
    ├── ReadError                the sample cannot be read from its source
    ├── UnreadableError          an item's bytes cannot be decoded
    │   └── LimitError           the header promises more than the limits allow (a "bomb")
    ├── OperatorError            an operator raised, hung, or took its process down
    │   └── NoAnswerError        what it asked gave no answer; another try may get one
    └── Declined                 an operator has nothing to say of this item: null with a reason
"""

from __future__ import annotations


class SluiceError(Exception):
    """Base of all errors of Sluice.

    `what` went wrong, `where` (recipe line, sample id, file and offset) and what to do (`fix`) are joined
    into the message; `exit_code` is what the command line exits with.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  → {self.fix}" if self.fix else head

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions travel between processes; keyword-only arguments defeat the default pickling.
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[SluiceError], state: dict[str, object]) -> SluiceError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (state["what"], state["where"], state["fix"])
    return error


class UsageError(SluiceError):
    """The command or the call is wrong."""

    exit_code = 2


class SourceError(UsageError):
    """The source is missing, empty or of an unknown format."""


class RecipeError(SluiceError):
    """The recipe is wrong; `where` is `file:line`, and `field` the path of the field in the recipe."""

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "", field: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.field = field


class RuleError(RecipeError):
    """A rule's expression is wrong at `position` (0-based offset into the `rule` text)."""

    def __init__(self, what: str, *, rule: str, position: int, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.rule, self.position = rule, position

    def __str__(self) -> str:
        pointer = f"\n  {self.rule}\n  {' ' * self.position}^"
        head = f"{self.where}: {self.what}" if self.where else self.what
        return head + pointer + (f"\n  → {self.fix}" if self.fix else "")


class PlanError(RecipeError):
    """The steps of a recipe contradict each other (two fields of one name, a field that nothing makes)."""


class MissingError(SluiceError):
    """Something is missing on this machine; `fix` is the exact command that supplies it."""

    exit_code = 3


class StorageError(SluiceError):
    """Bytes could not be read from or written to a location."""


class NotFoundError(StorageError):
    """There is nothing at that location."""


class UnavailableError(SluiceError):
    """An object store or an endpoint does not answer, after all retries; nothing can be said of the samples.

    Not a StorageError, so that nothing that turns unreadable bytes into a failed sample catches it: it ends the
    run, and the same command continues when the store or endpoint is back.
    """


class RunError(SluiceError):
    """A run ended without what it promised."""


class TooManyFailuresError(RunError):
    """More samples failed than `max_failed` allows, or any with `--strict`."""


class VerifyError(RunError):
    """A finished run violates what it promised; the message names the first violation."""


class TrialError(RunError):
    """One training, inference or evaluation gave no result; it fails that run of that arm, never the experiment.

    `reason` says why in a few words (`crashed: exit code 1`, `wrong result: loss is NaN`); `what` tells the details.
    """

    def __init__(self, reason: str, what: str = "", *, where: str = "", fix: str = "") -> None:
        super().__init__(what or reason, where=where, fix=fix)
        self.reason = reason


class InterruptedRunError(RunError):
    """Ctrl-C: the run stopped cleanly and the same command continues it."""

    exit_code = 130


class SampleError(SluiceError):
    """One sample's or item's trouble. It becomes a counted failure with `reason`; it never ends a run.

    `reason` is a short stable word or phrase by which failures are counted ("truncated", "bomb"); `what`
    tells the details.
    """

    def __init__(self, reason: str, what: str = "", *, where: str = "", fix: str = "") -> None:
        super().__init__(what or reason, where=where, fix=fix)
        self.reason = reason


class ReadError(SampleError):
    """The sample cannot be read from its source (members not adjacent, a sidecar missing)."""


class UnreadableError(SampleError):
    """An item's bytes cannot be decoded."""


class LimitError(UnreadableError):
    """The header promises more pixels, frames, seconds or bytes than the limits allow."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__("bomb", what, where=where, fix=fix)


class OperatorError(SampleError):
    """An operator raised, ran out of time or memory, or took its process down; names the operator."""


class NoAnswerError(OperatorError):
    """What an operator asked gave no usable answer for this sample, after all retries; another run may get one."""


class Declined(SampleError):  # noqa: N818 - an outcome, not a fault
    """An operator has nothing to say of this item (no face, no words): the value is null with a reason."""
