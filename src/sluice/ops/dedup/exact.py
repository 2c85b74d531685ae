"""Which samples hold exactly the same?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sluice.operator import deduplicator
from sluice.ops.dedup.identical import first_rows
from sluice.ops.dedup.pairs import Pairs, assemble


@deduplicator(version=1, by="hash")
def exact(values: pa.Array | pa.ChunkedArray | NDArray[np.generic]) -> Pairs:
    """Pairs of equal values (a content hash, a caption, a number), each with score 1.0. Nulls never match.

    Equality is transitive, so k rows of one value make k - 1 *star* pairs (first row, other row) and not
    k(k - 1)/2: the work and the result are linear in the rows.
    """
    first = first_rows(values)
    none = np.empty(0, np.int64)
    return assemble("equal", first, none, none, np.empty(0, np.float32))
