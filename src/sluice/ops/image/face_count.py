"""How many faces does an image show?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import Field, measure
from sluice.ops.image.faces import LEAST_SCORE, Faces


@measure(version=1, cost="header")
def image_face_count(
    faces: Faces, *, min_score: Annotated[float, Setting(ge=LEAST_SCORE, le=1)] = 0.7
) -> Annotated[int, Field(unit="faces", ge=0, higher_is="more faces")]:
    """Number of faces that the detector finds with a score of at least `min_score`; 0 where there is none.

    Boxes come from the feature `faces` (`with: {faces: {model: …}}` names another detector), which other
    operators on faces share. 0.7 is the threshold of the detector's own demonstration. Faces that are tiny,
    turned away or upside down are missed; see `faces`.
    """
    return len(faces.at_least(min_score))
