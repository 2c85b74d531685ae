"""Single-operator pools: low, mid and high of one measure, and a random control, all of one size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.errors import UsageError
from sluice.sandbox.pools.pool import Pool
from sluice.sandbox.pools.sampling import draw_keys, drawn
from sluice.sandbox.pools.tertiles import PARTS, Tertiles, tertiles

CONTROL = "control"
"""Name of the control: a draw from all samples, whatever their values."""


def single_pools(
    ids: pa.Array,
    measures: Mapping[str, NDArray[np.float64] | Tertiles],
    *,
    seed: int = 42,
    cap: int | None = None,
    least: int = 1,
) -> list[Pool]:
    """`{measure}-low`, `-mid`, `-high` and `-null` of each measure, and `control`, drawn from all, of equal sizes.

    A measure is given by its values, or by its thirds where they are known.

    Each is down-sampled to the smallest of them, or to `cap` where that is less; pools with fewer than `least`
    samples, empty ones, and those of missing values do not count for the smallest (a dozen unreadable samples must
    not shrink an experiment). What is left out of the count keeps what it has, up to the common size. With an equal
    seed a pool of a smaller cap is a part of that of a larger one. Raises `UsageError` where nothing can be drawn.
    """
    keys = draw_keys(ids, seed)
    parts = {n: v if isinstance(v, Tertiles) else tertiles(v) for n, v in measures.items()}
    counted = [len(t.part(p)) for t in parts.values() for p in PARTS[:3] if len(t.part(p)) >= max(least, 1)]
    if not counted:
        raise UsageError(
            "no pool can be made: " + "; ".join(f"{n}: {t.note}" for n, t in parts.items() if t.note),
            fix="name measures that differ from sample to sample, or lower `least`",
        )
    size = min(counted) if cap is None else min(*counted, cap)
    pools = [control_pool(ids, seed=seed, size=size)]
    for name, thirds in parts.items():
        for part in PARTS:
            among = thirds.part(part)
            if len(among):
                chosen = drawn(keys, among, size)
                pools.append(
                    Pool(f"{name}-{part}", ids.take(pa.array(chosen)), _origin(name, part, thirds, seed))
                )
    return pools


def control_pool(ids: pa.Array, *, seed: int, size: int, name: str = CONTROL) -> Pool:
    """A draw of `size` samples from all, by keys of its own: by those of the others it would be one of them.

    Controls of different names are independent of each other: what they differ in is noise.
    """
    chosen = drawn(draw_keys(ids, seed, name), np.arange(len(ids)), size)
    return Pool(name, ids.take(pa.array(chosen)), {"kind": "control", "of": len(ids), "seed": seed})


def _origin(measure: str, part: str, thirds: Tertiles, seed: int) -> dict[str, object]:
    return {
        "kind": "single",
        "measure": measure,
        "part": part,
        "low_max": thirds.low_max,
        "mid_max": thirds.mid_max,
        "note": thirds.note,
        "of": len(thirds.part(part)),
        "seed": seed,
    }
