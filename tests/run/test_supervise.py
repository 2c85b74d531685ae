"""Blame: every poisonous row is found, no innocent one is, and it always ends; proved on the policy alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.run.engine import NO_ROW
from sluice.run.suspects import Call, Case, Count, Death, GiveUp, Move, Probe

SEGV = "crash: SIGSEGV"


@dataclass
class World:
    """A simulated worker over `count` rows. `hidden` rows kill without being named by the beat."""

    count: int
    poison: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)
    slow: set[int] = field(default_factory=set)
    kills: list[int] = field(default_factory=list)  # per attempt: the row at which an outsider kills, or -2

    def carry_out(self, move: Move) -> Death | None:
        rows = [r for r in range(self.count) if r not in move.quarantined] if isinstance(move, Call) else []
        rows = list(move.rows) if isinstance(move, Probe) else rows
        killed_at = self.kills.pop(0) if self.kills else -2
        if killed_at == NO_ROW:
            return Death("crash: SIGKILL", outside=True)
        for row in rows:
            if row == killed_at:
                return Death("crash: SIGKILL", row=row, outside=True)
            if row in self.slow:
                return Death("time limit", row=row, overrun=True)
            if row in self.poison:
                return Death(SEGV, row=row)
        if set(rows) & self.hidden:
            return Death(SEGV)
        return None


def settle(world: World, can_probe: bool = True) -> tuple[Case, Move]:
    case = Case(can_probe)
    move = case.begin()
    while not isinstance(move, GiveUp):
        death = world.carry_out(move)
        if death is not None:
            move = case.died(death)
        elif isinstance(move, Call):
            return case, move
        else:
            move = case.answered(world.count if isinstance(move, Count) else 0)
    return case, move


rows = st.integers(0, 39)


@given(st.sets(rows, max_size=8), st.sets(rows, max_size=4), st.sets(rows, max_size=4))
@settings(deadline=None)
def test_exactly_the_guilty_are_quarantined(poison: set[int], slow: set[int], hidden: set[int]) -> None:
    case, move = settle(World(40, set(poison), hidden - poison - slow, slow))
    assert isinstance(move, Call)
    assert set(case.quarantined) == poison | slow | hidden


@given(st.sets(rows, max_size=10))
def test_named_rows_cost_two_attempts_each(poison: set[int]) -> None:
    case, move = settle(World(40, set(poison)), can_probe=False)
    assert set(case.quarantined) == poison
    assert isinstance(move, Call)
    assert case.attempts == 2 * len(poison) + 1


@given(st.sets(st.integers(0, 999), min_size=1, max_size=3))
def test_hidden_rows_cost_a_logarithm(hidden: set[int]) -> None:
    case, move = settle(World(1000, hidden=hidden))
    assert isinstance(move, Call)
    assert set(case.quarantined) == hidden
    assert case.attempts <= 4 + len(hidden) * (2 * 10 + 2)


@given(st.lists(st.integers(-1, 39), max_size=2), st.sets(rows, max_size=3))
def test_two_kills_from_outside_harm_nobody(kills: list[int], poison: set[int]) -> None:
    case, move = settle(World(40, set(poison), kills=kills), can_probe=False)
    assert isinstance(move, Call)
    assert set(case.quarantined) == poison


@given(st.permutations(range(40)))
def test_ten_kills_at_ever_different_rows_harm_nobody(order: list[int]) -> None:
    case, move = settle(World(40, kills=list(order[:10])), can_probe=False)
    assert isinstance(move, Call)
    assert not case.quarantined


@given(st.lists(st.integers(-2, 39), max_size=400), st.sets(rows), st.sets(rows), st.booleans())
@settings(deadline=None)
def test_it_ends_whatever_happens(kills: list[int], poison: set[int], hidden: set[int], probe: bool) -> None:
    case, move = settle(World(40, set(poison), set(hidden), kills=kills), probe)
    assert isinstance(move, Call | GiveUp)
    assert case.attempts < 2000


def test_a_job_that_keeps_reporting_a_quarantined_row_ends() -> None:
    case = Case()
    move = case.begin()
    while not isinstance(move, GiveUp):
        move = case.died(Death(SEGV, row=3))
    assert case.attempts <= 4
    assert SEGV in move.error


def test_a_task_that_dies_without_a_row_is_given_up_with_the_last_words() -> None:
    _, move = settle(World(5, hidden={2}), can_probe=False)
    assert isinstance(move, GiveUp)
    case = Case()
    case.begin()
    case.died(Death(SEGV, "first\nlast words", step="reading"))
    move = case.died(Death(SEGV, "first\nlast words", step="reading"))
    assert isinstance(move, GiveUp)
    assert "last words" in move.error
    assert "reading" in move.error


def test_rows_that_kill_only_together_give_the_task_up() -> None:
    class Together(World):
        def carry_out(self, move: Move) -> Death | None:
            present = set(move.rows) if isinstance(move, Probe) else set(range(self.count))
            return Death(SEGV) if {3, 30} <= present and not isinstance(move, Count) else None

    case, move = settle(Together(40))
    assert isinstance(move, GiveUp)
    assert not case.quarantined


def test_counting_that_kills_gives_the_task_up() -> None:
    class Unreadable(World):
        def carry_out(self, move: Move) -> Death | None:
            return Death(SEGV)

    case, move = settle(Unreadable(40))
    assert isinstance(move, GiveUp)
    assert case.attempts == 3
