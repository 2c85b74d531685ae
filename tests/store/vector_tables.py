"""A stored table of vectors alone, for tests of what compares them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sluice.storage import Location
from sluice.store.table import Table


def vector_table(folder: Path, vectors: NDArray[np.float32]) -> Table:
    """A table in `folder` with one image a sample, whose column `embedding` holds these vectors."""
    folder.mkdir(parents=True)
    column = {
        "name": "embedding", "kind": "vector", "modality": "image", "layout": "scalar", "mark": "made",
        "absent": False, "size": vectors.shape[1],
    }  # fmt: skip
    index = {"rows": len(vectors), "columns": [column], "max_items": {"image": 1}, "parts": []}
    (folder / "index.json").write_text(json.dumps({**index, "passthrough": {}, "units_digest": "units"}))
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    numbers = pa.array(np.arange(len(vectors))), pa.array(np.zeros(len(vectors), np.int32)), values
    rows = pa.Table.from_arrays(list(numbers), names=["ordinal", "item", "vector"])
    pq.write_table(rows, folder / "vectors-embedding.parquet")
    return Table(Location(str(folder)))
