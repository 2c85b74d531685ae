"""Where dear operators run: as late as rules allow, but never so that one model runs twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sluice.operator import Instance
from sluice.operator.spec import GATED


@dataclass(frozen=True)
class Place:
    """When an operator runs: on the survivors of the first `after` steps that pass these rules (step numbers)."""

    after: int
    gates: tuple[int, ...]


def sharing(places: Mapping[Instance, Place]) -> dict[Instance, Place]:
    """The places with every operator moved to the earliest one where all its dear parts are made already.

    An embedding is dear, a score on it costs next to nothing: a score that a later rule asks for is computed
    where the embedding is, instead of embedding the same pictures again.
    """
    order = sorted(places, key=lambda instance: (places[instance].after, len(places[instance].gates)))
    made: dict[Place, set[str]] = {}
    found = {}
    for instance in order:
        dear = {part.asked for part in instance.closure() if part.spec.cost in GATED}
        place = next((place for place, known in made.items() if dear <= known), places[instance])
        made.setdefault(place, set()).update(dear)
        found[instance] = place
    return found
