"""What number does a sample's metadata hold?"""

from typing import Annotated, Any

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.sample.stated import stated
from sluice.sample import Sample


@measure(version=1, cost="header", scope="sample")
def sample_metadata_number(
    sample: Sample, *, field: str = "width"
) -> Annotated[float, Field(unit="as stored")]:
    """A number from the sample's JSON metadata (`key.json` beside `key.jpg`) or its passthrough columns.

    `field` is a path of names with dots: `licence.year` is `{"licence": {"year": 2020}}`. The first metadata
    item that has it counts, then the source's own columns. Declined with `no such field`, `not a number`
    (true and false are not numbers, nor is a text such as "12") or `metadata not readable`.
    """
    value = stated(sample, field)
    if value is None:
        raise Declined("no such field", f"no metadata of this sample has {field!r}")
    return _number(value, field)


def _number(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Declined("not a number", f"{field!r} holds {type(value).__name__}")
    try:
        return float(value)
    except OverflowError as error:
        raise Declined("not a number", f"{field!r} is too large") from error
