"""In which format is an image stored?"""

from typing import Annotated

from sluice.operator import Field, measure
from sluice.ops.image.pixels import Header


@measure(version=1, cost="header")
def image_format(header: Header) -> Annotated[str, Field()]:
    """The format by the file's own bytes, whatever its name says: `JPEG`, `PNG`, `WEBP`, `GIF`, `TIFF`, …

    Pillow's names; a multi-picture MPO is the `JPEG` it begins with. A JPEG called `cat.png` is `JPEG`.
    """
    return header.format
