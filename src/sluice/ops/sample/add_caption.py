"""How do captions become part of the samples?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from sluice.errors import Declined
from sluice.operator import mapper
from sluice.operator.pairing import nearest_text
from sluice.operator.spec import When
from sluice.sample import Item, Sample
from sluice.sample.members import member_type

Captions = list[Any] | None


@mapper(version=1, cost="header", scope="sample")
def sample_add_caption(
    sample: Sample,
    image_caption_local: Annotated[Captions, When("by", "local")],
    image_caption: Annotated[Captions, When("by", "endpoint")],
    *,
    by: Literal["local", "endpoint"] = "local",
    mode: Literal["add", "replace"] = "add",
) -> Sample:
    """The sample with a text after each of its images: the image's caption.

    `by` says whose: of `image_caption_local`, or of `image_caption` (an endpoint). Both take the settings of
    the recipe's `measure` of that name, or those given under `with`; captions are measured behind the rules
    like any measure, and written from the journal. `mode: add` puts a text after the image, `photo.txt` after
    `photo.jpg`, or `photo.caption` where there is such a text already; `replace` gives the text nearest to the
    image the caption's words (the earlier of a tie), and adds one only where the sample has none. An image without
    a caption changes nothing. Declined with `no captions` where no image has one. What was measured of texts
    speaks of those before.
    """
    captions = (image_caption if by == "endpoint" else image_caption_local) or []
    found = {
        index: caption[0]
        for (index, _), caption in zip(sample.of("image"), captions, strict=True)
        if caption is not None and caption[0] is not None
    }
    if not found:
        raise Declined("no captions", "no image of the sample has a caption")
    texts = [index for index, _ in sample.of("text")]
    if mode == "replace" and texts:
        rewritten = {texts[nearest_text(image, texts)]: text for image, text in found.items()}
        items = [
            replace(item, text=rewritten[k], media=None, hash=None, fields={}) if k in rewritten else item
            for k, item in enumerate(sample.items)
        ]
        return replace(sample, items=tuple(items))
    return replace(sample, items=tuple(_with_texts(sample, found)))


def _with_texts(sample: Sample, captions: dict[int, str]) -> list[Item]:
    taken = {item.name for item in sample.items}
    items: list[Item] = []
    for index, item in enumerate(sample.items):
        items.append(item)
        if index in captions:
            name = _free_name(item, taken)
            taken.add(name)
            items.append(Item("text", "text/plain", name, captions[index]))
    return items


def _free_name(image: Item, taken: set[str]) -> str:
    """The image's name with the extension of a text; numbered where all are taken."""
    stem = image.name.rpartition(".")[0] if member_type(image.name)[0] == "image" else image.name
    before = f"{stem}." if stem else ""
    wanted = (f"{before}txt", f"{before}caption", *(f"{before}{k}.caption" for k in range(1, len(taken) + 2)))
    return next(name for name in wanted if name not in taken)
