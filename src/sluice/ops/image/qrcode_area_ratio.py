"""How much of an image is QR code?"""

from typing import Annotated

import zxingcpp

from sluice.codec import halve
from sluice.operator import Field, measure
from sluice.ops.image.pixels import LIBRARIES, Gray

_FORMATS = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.MicroQRCode, zxingcpp.BarcodeFormat.RMQRCode]
)
_COARSE_FROM_PX = 1024


@measure(version=1, cost="decode", libraries=(*LIBRARIES, "zxing-cpp"))
def image_qrcode_area_ratio(
    gray: Gray, *, inverted: bool = False
) -> Annotated[float, Field(unit="share", ge=0, le=1, higher_is="more code", bound="< 0.05")]:
    """Summed area of the quadrangles of all readable QR codes (also Micro and rMQR), divided by the image's.

    At most 1; 0 without a readable code. Found by zxing-cpp on the luma, in any direction, light-on-dark codes
    only with `inverted: true`, which doubles the time. A picture whose shorter side is 2,048 px or more is
    halved until it is below that, and one of 1,024 px or more is also sought in at a coarser scale: it bounds
    the time, and only codes that cover less than about a thousandth of a picture are lost. Of drawn codes of 20
    to 60 characters that covered a twentieth of 640 x 480, tilted, unevenly lit and blurred, 159 of 160 were
    found.
    """
    reduced = gray
    while min(reduced.shape) >= 2 * _COARSE_FROM_PX:
        reduced = halve(reduced)
    coarser = min(reduced.shape) >= _COARSE_FROM_PX
    codes = zxingcpp.read_barcodes(reduced, formats=_FORMATS, try_invert=inverted, try_downscale=coarser)
    return min(1.0, sum(_area(code.position) for code in codes) / reduced.size)


def _area(quad: zxingcpp.Position) -> float:
    """Area in px² of a quadrangle by its corners (the shoelace formula)."""
    corners = [quad.top_left, quad.top_right, quad.bottom_right, quad.bottom_left]
    following = corners[1:] + corners[:1]
    return abs(sum(a.x * b.y - b.x * a.y for a, b in zip(corners, following, strict=True))) / 2
