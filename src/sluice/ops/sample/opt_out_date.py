"""Since when does a sample's owner object to its use?"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from sluice.errors import Declined, SampleError
from sluice.operator import Field, measure
from sluice.ops.sample.stated import Names, stated
from sluice.sample import Sample

_NAMES = ["opt_out_date", "opted_out_at", "opt_out", "opted_out"]


@measure(version=1, cost="header")
def sample_opt_out_date(sample: Sample, *, fields: Names = _NAMES) -> Annotated[str, Field(bound="is null")]:
    """The day of the opt-out that a sample's JSON metadata or the source's columns state: `2025-03-31`.

    `fields` are names of metadata fields (paths with dots), looked at in this order; the first that holds
    anything but null, false or a blank text counts. Dates and times are read as ISO 8601; a time with a zone
    counts by its day in UTC. Such texts compare as dates do: `keep: sample_opt_out_date is null`, or
    `sample_opt_out_date > '2026-01-01'`. Declined with `no opt-out stated`. What states something else
    (`true`, a number, another way to write dates), and metadata that is damaged, fails the sample: it is never
    taken for one whose owner agrees.
    """
    for name in fields:
        try:
            value = stated(sample, name)
        except Declined as error:
            raise SampleError(error.reason, error.what) from error
        if value is not None and value is not False and str(value).strip():
            return _day(value, name)
    raise Declined("no opt-out stated", f"no metadata of this sample has {', '.join(fields)}")


def _day(value: Any, name: str) -> str:
    try:
        found = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if isinstance(found, datetime) and found.tzinfo is not None:
            found = found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SampleError("opt-out without a date", f"{name!r} holds {value!r:.200}") from error
    if not isinstance(found, date):
        raise SampleError("opt-out without a date", f"{name!r} holds {value!r:.200}")
    return found.isoformat()[:10]
