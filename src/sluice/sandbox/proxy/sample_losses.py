"""What each sample costs a trained proxy, whichever of the two it is."""

from __future__ import annotations

import json
from pathlib import Path

from sluice.errors import TrialError
from sluice.sandbox.proxy import image_text, text_to_video
from sluice.sandbox.proxy.captioned import read_captioned
from sluice.sandbox.proxy.image_text_scores import caption_losses
from sluice.sandbox.proxy.text_to_video_scores import denoising_losses


def sample_losses(model: Path, data: Path, *, device: str, threads: int = 1) -> dict[str, float]:
    """The loss of every sample of `data` that the proxy in the folder `model` can be shown, by id.

    Of `image_text` that of `caption_losses`, of `text_to_video` that of `denoising_losses`; `data` is as
    `read_captioned` takes it. `TrialError` where there is no such model, or nothing to show it.
    """
    kind = _kind(model)
    if kind == image_text.KIND:
        _, form = image_text.load_image_text(model, device)
        shown = read_captioned(data, form)
        losses = caption_losses(model, shown, device=device, threads=threads)
    else:
        _, form = text_to_video.load_text_to_video(model, device)
        shown = read_captioned(data, form)
        losses = denoising_losses(model, shown, device=device, threads=threads)
    return dict(zip(shown.ids, losses.tolist(), strict=True))


def _kind(model: Path) -> str:
    try:
        kind = json.loads((model / "model.json").read_bytes())["kind"]
    except (OSError, ValueError, KeyError) as error:
        what = f"there is none of our models here: {error}"
        raise TrialError("no result: there is no model", what, where=str(model)) from None
    if kind not in (image_text.KIND, text_to_video.KIND):
        raise TrialError("no result: another kind of model", f"this is {kind!r}", where=str(model))
    return str(kind)
