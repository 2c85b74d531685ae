"""Which videos are the same file?"""

from typing import Annotated

import xxhash

from sluice.operator import Field, measure
from sluice.operator.tracks import source_hash
from sluice.sample import Media


@measure(version=1, cost="header", scope="video", libraries=("xxhash",))
def video_content_hash(media: Media) -> Annotated[str, Field(unit="hexadecimal")]:
    """xxh3-128 of a file's bytes, 32 hexadecimal digits: equal for byte-identical files only.

    Of a clip, of its source's hash, its span and its crop: equal for the same clips of equal files. Reads the whole
    file once, whatever clips it has, and decodes nothing. Copies that were encoded or packed anew are found by
    `video_embedding`.
    """
    source = source_hash(media)
    if media.start_s is None and media.end_s is None and media.crop is None:
        return source
    return xxhash.xxh3_128_hexdigest(f"{source}\0{media.start_s}\0{media.end_s}\0{media.crop}".encode())
