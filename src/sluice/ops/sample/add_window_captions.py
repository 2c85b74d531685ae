"""How do the captions of a clip's windows become part of the samples?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from sluice.operator import mapper
from sluice.operator.spec import When
from sluice.ops.video.caption import WindowCaptions
from sluice.ops.video.captions import from_json
from sluice.sample import Item, Sample

Captions = list[Any] | None
_WINDOWS, _MODEL, _PROMPT = map(WindowCaptions._fields.index, ("windows", "model", "prompt"))
"""Places among what a caption operator makes of a clip."""


@mapper(version=1, cost="header", scope="sample")
def sample_add_window_captions(
    sample: Sample,
    video_caption_local: Annotated[Captions, When("by", "local")],
    video_caption: Annotated[Captions, When("by", "endpoint")],
    video_caption_rewritten: Annotated[Captions, When("rewritten", True)],
    *,
    by: Literal["local", "endpoint"] = "local",
    rewritten: bool = False,
    mode: Literal["replace", "add"] = "replace",
) -> Sample:
    """The clip with a text for each captioned window of its videos.

    The fields of such a text are `start_frame`, `end_frame` (exclusive), `model`, `kind`, `prompt` (its digest),
    `prompt_tokens` and `completion_tokens`; the format `clips` writes them as `windows` of the metadata. `mode: add`
    keeps the texts of windows that are there and were made by other models, `replace` removes them. A window without a
    caption has no text, a clip without any none of these.

    `by` says whose: of `video_caption_local`, or of `video_caption` (an endpoint). Both take the settings of the
    recipe's `measure` of that name, or those given under `with`. With `rewritten` the captions of
    `video_caption_rewritten` stand beside them, of the kind `enhanced_caption`.
    """
    captions = (video_caption if by == "endpoint" else video_caption_local) or []
    new = [*_texts(captions, "caption"), *_texts(video_caption_rewritten or [], "enhanced_caption")]
    made = {(item.fields["model"], item.fields["kind"]) for item in new}
    kept = [item for item in sample.items if not _goes(item, mode, made)]
    taken = {item.name for item in kept}
    named = [replace(item, name=name) for item, name in zip(new, _free_names(taken), strict=False)]
    at = 1 + max((k for k, item in enumerate(kept) if item.modality == "video"), default=-1)
    return replace(sample, items=(*kept[:at], *named, *kept[at:]))


def _texts(captions: list[Any], kind: str) -> Iterator[Item]:
    found = [(caption, window) for caption in captions if caption for window in from_json(caption[_WINDOWS])]
    for caption, window in found:
        if window.text is None:
            continue
        fields = {
            "start_frame": window.start_frame,
            "end_frame": window.end_frame,
            "model": caption[_MODEL],
            "kind": kind,
            "prompt": caption[_PROMPT],
            "prompt_tokens": window.prompt_tokens,
            "completion_tokens": window.completion_tokens,
        }
        yield Item("text", "text/plain", "", window.text, fields=fields)


def _goes(item: Item, mode: str, made: set[tuple[str, str]]) -> bool:
    """Whether a text of a window makes room for the new ones."""
    if item.modality != "text" or "start_frame" not in item.fields or "kind" not in item.fields:
        return False
    return mode == "replace" or (str(item.fields.get("model", "")), str(item.fields["kind"])) in made


def _free_names(taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        name = f"caption_{number:03d}.txt"
        if name not in taken:
            yield name
        number += 1
