"""Decides which sample to blame when workers die: a pure state machine, so that it can be proved alone.

A row under way at two deaths is guilty. SIGKILL and SIGTERM are signals that others send too (an
administrator, the kernel short of memory), so a third such death is asked for: no sample is lost to one kill
from outside. A row that overruns the time limit is guilty at once. Deaths that name no row, or ever different
ones, lead to bisection by probes where the job offers them. Every path ends: each round either convicts one
of finitely many rows or gives the task up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from sluice.run.engine import NO_ROW, Quarantine

# In these units a certain crash weighs 2 and a death that may have come from outside 1.
_GUILTY = 3  # two crashes, or three kills
_SCATTERED = 11  # six crashes, or eleven kills, at ever different rows
_CEILING = 10_000  # attempts; reached only by a job that reports rows which it does not have


@dataclass(frozen=True)
class Death:
    """How a worker ended. `outside`: someone else may have killed it; `overrun`: we did, for its time."""

    reason: str
    detail: str = ""
    row: int = NO_ROW
    step: str = ""
    outside: bool = False
    overrun: bool = False


@dataclass(frozen=True)
class Call:
    """Run the task without these rows."""

    quarantined: Mapping[int, Quarantine]


@dataclass(frozen=True)
class Count:
    """Ask how many rows the task has."""


@dataclass(frozen=True)
class Probe:
    """Run these rows only, keeping nothing."""

    rows: tuple[int, ...]


@dataclass(frozen=True)
class GiveUp:
    """The task cannot be run; `error` says why."""

    error: str


Move: TypeAlias = Call | Count | Probe | GiveUp


@dataclass
class Case:
    """One task's history: what died over it, and what to do next.

    `begin`, `died` and `answered` each return the next move; the caller carries it out in a live worker.
    """

    can_probe: bool = False
    quarantined: dict[int, Quarantine] = field(default_factory=dict)
    attempts: int = 0
    _weights: dict[int, int] = field(default_factory=dict)
    _unnamed: int = 0
    _scattered: int = 0
    _groups: list[tuple[int, ...]] = field(default_factory=list)
    _searching: bool = False
    _found: int = 0
    _fruitless: bool = False

    def begin(self) -> Move:
        """The first move."""
        return self._try(Call({}))

    def died(self, death: Death) -> Move:
        """The worker died during the last move."""
        if self.attempts >= _CEILING:
            return self._give_up(death)
        if self._groups:
            return self._probe_died(death)
        if self._searching:  # merely counting the rows is deadly: no row will ever be isolated
            return self._give_up(death)
        if self._blame(death):
            self._unnamed = self._scattered = 0
            return self._call()
        weight = _weight(death)
        self._scattered += weight
        self._unnamed += weight if death.row == NO_ROW or death.row in self.quarantined else 0
        if self._fruitless:
            return self._give_up(death)
        if self._unnamed >= _GUILTY or self._scattered >= _SCATTERED:
            return self._search(death)
        return self._call()

    def answered(self, rows: int = 0) -> Move:
        """The last move, `Count` (with its answer) or `Probe`, came back alive."""
        if self._groups:
            self._groups.pop()
        else:
            everyone = tuple(row for row in range(rows) if row not in self.quarantined)
            self._groups = _halves(everyone)
        return self._next_group()

    def _try(self, move: Move) -> Move:
        self.attempts += 1
        return move

    def _call(self) -> Move:
        return self._try(Call(dict(self.quarantined)))

    def _give_up(self, death: Death) -> Move:
        last = f"; last: {death.detail.strip().splitlines()[-1]}" if death.detail.strip() else ""
        step = f" in {death.step}" if death.step else ""
        return GiveUp(
            f"{death.reason}{step}: workers died over this task in {self.attempts} attempts"
            f" and no single sample is to blame{last}"
        )

    def _blame(self, death: Death) -> bool:
        """Weigh the death against the row under way; True where that convicts it."""
        row = death.row
        if row == NO_ROW or row in self.quarantined:
            return False
        self._weights[row] = self._weights.get(row, 0) + _weight(death)
        guilty = death.overrun or self._weights[row] >= _GUILTY
        if guilty:
            self.quarantined[row] = Quarantine(death.reason, death.detail, death.step)
        return guilty

    def _search(self, death: Death) -> Move:
        if not self.can_probe:
            return self._give_up(death)
        self._searching, self._found = True, 0
        return self._try(Count())

    def _next_group(self) -> Move:
        if self._groups:
            return self._try(Probe(self._groups[-1]))
        self._searching = False
        self._unnamed = self._scattered = 0
        self._fruitless = self._found == 0
        return self._call()

    def _probe_died(self, death: Death) -> Move:
        group = self._groups[-1]
        if len(group) > 1 and not (death.overrun and death.row in group):
            self._groups[-1:] = _halves(group)
            return self._next_group()
        # Alone in its group, a row is to blame whatever the beat says.
        row = death.row if death.overrun and death.row in group else group[0]
        if self._blame(Death(death.reason, death.detail, row, death.step, death.outside, death.overrun)):
            self._found += 1
            rest = tuple(other for other in group if other != row)
            self._groups[-1:] = [rest] if rest else []
        return self._next_group()


def _weight(death: Death) -> int:
    return 1 if death.outside else 2


def _halves(rows: Sequence[int]) -> list[tuple[int, ...]]:
    middle = len(rows) // 2
    return [half for half in (tuple(rows[middle:]), tuple(rows[:middle])) if half]
