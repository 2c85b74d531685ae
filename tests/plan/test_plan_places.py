"""Where dear operators run: behind the rules before them, but no model twice."""

from __future__ import annotations

from typing import Annotated

from sluice.operator import Field, Registry, feature, measure
from sluice.ops.dedup.exact import exact
from sluice.plan import plan
from sluice.plan.places import Place, sharing
from sluice.recipe.load import loads


@feature(scope="text", version=1, cost="model")
def embedded(text: str) -> float:
    """A dear feature."""
    return len(text) / 10


@measure(version=1, cost="header")
def text_plain_score(embedded: float) -> Annotated[float, Field(unit="points")]:
    """A cheap score of it."""
    return embedded


@measure(version=1, cost="header")
def text_other_score(embedded: float, *, scale: float = 2) -> Annotated[float, Field(unit="points")]:
    """Another, times `scale`."""
    return embedded * scale


@measure(version=1, cost="model")
def text_own_model(text: str) -> Annotated[float, Field(unit="points")]:
    """A model of its own."""
    return 1.0


@measure(version=1, cost="model")
def text_both(text: str, embedded: float) -> Annotated[float, Field(unit="points")]:
    """A model of its own on top of the dear feature."""
    return 1.0


@measure(version=1, cost="header")
def text_size(text: str) -> Annotated[int, Field(unit="letters")]:
    """Cheap."""
    return len(text)


KNOWN = Registry(
    f.spec  # type: ignore[attr-defined]
    for f in (embedded, text_plain_score, text_other_score, text_own_model, text_both, text_size, exact)
)
STEPS = """
source: in
steps:
  - keep: text_size >= 1
  - keep: text_plain_score >= 1
  - keep: text_own_model >= 1
  - keep: text_other_score >= 1
  - dedup: {by: text_size}
  - keep: text_both >= 1
  - measure: {text_other_score: {scale: 3, as: text_last_score}}
"""


def test_a_score_is_computed_where_its_embedding_is() -> None:
    found: dict[tuple[int, tuple[int, ...]], set[str]] = {}
    for each in plan(loads(STEPS), KNOWN).passes:
        for gated in each.gated:
            found.setdefault((each.after, gated.gates), set()).add(gated.instance.outputs[0].name)
    assert found == {
        (0, (0,)): {"text_last_score", "text_other_score", "text_plain_score"},
        (0, (0, 1)): {"text_own_model"},
        (5, ()): {"text_both"},
    }


def test_other_settings_of_the_embedding_are_another_embedding() -> None:
    early, late = Place(0, ()), Place(0, (0,))
    first, other = KNOWN.bind("text_plain_score"), KNOWN.bind("text_both")
    assert sharing({first: early, other: late}) == {first: early, other: late}
    assert sharing({other: early, first: late}) == {other: early, first: early}
