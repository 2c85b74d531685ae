"""Mappers that misbehave on one picture, for runs that must survive them."""

import os

from sluice.operator import mapper

BAIT = b"take me down"


@mapper(version=1, cost="header")
def image_deadly(encoded: bytes) -> bytes:
    """The image as it is; takes its process down where the bytes end in the bait."""
    if encoded.endswith(BAIT):
        os._exit(9)
    return encoded
