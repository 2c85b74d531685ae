"""Under which licence is a sample?"""

from __future__ import annotations

from typing import Annotated

from sluice.errors import Declined
from sluice.operator import Field, measure
from sluice.ops.sample.spellings import OURS, Spellings, bare, table
from sluice.ops.sample.stated import Names, text_of
from sluice.sample import Sample

_NAMES = ["licence", "license", "license_name", "license.name", "license_url", "license.url", "rights"]


@measure(version=1, cost="header", libraries=("pyyaml", "xxhash"))
def sample_licence(
    sample: Sample, *, fields: Names = _NAMES, spellings: Spellings = OURS
) -> Annotated[str, Field(unknown="are of unknown licence")]:
    """The licence that a sample's JSON metadata or the source's columns state, if any.

    `fields` are names of metadata fields (paths with dots: `license.name`), looked at in this order; the first
    that holds a text counts. What is plainly a licence of the table `spellings` becomes its identifier in the
    SPDX License List (`CC BY 4.0`, `Attribution 4.0 International` and
    `https://creativecommons.org/licenses/by/4.0/` become `CC-BY-4.0`); all else stays as it is written, so
    `CC BY`, of no version, stays. The table is ours or the path of a YAML file of its form. Declined with
    `no such field`, `not a text` (a number means something in its own list alone), `said to be unknown`, or
    `metadata not readable`. It is what the source claims; nobody has checked it. A run that writes samples
    without a licence says how many they are.
    """
    written = text_of(sample, fields)
    known = table(spellings).get(bare(written), written)
    if known is None:
        raise Declined("said to be unknown", f"the licence is given as {written!r}")
    return known
