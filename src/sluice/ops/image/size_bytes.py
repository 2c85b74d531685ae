"""How many bytes does an image take?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Header


@measure(version=1, cost="header")
def image_size_bytes(header: Header) -> Annotated[int, Field(unit="bytes", ge=0, higher_is="larger")]:
    """Bytes of the encoded file, metadata included (the whole file, also where the view is a crop)."""
    return header.size_bytes
