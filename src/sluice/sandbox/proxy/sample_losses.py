"""What each sample costs a trained proxy, whichever of the two it is."""

from __future__ import annotations

from pathlib import Path

from sluice.errors import TrialError
from sluice.sandbox.proxy import image_text, text_to_video
from sluice.sandbox.proxy.captioned import Form, read_captioned
from sluice.sandbox.proxy.image_text_scores import caption_losses
from sluice.sandbox.proxy.saved import kind_and_shape
from sluice.sandbox.proxy.text_to_video_scores import denoising_losses

_LOSSES = {image_text.KIND.name: caption_losses, text_to_video.KIND.name: denoising_losses}


def sample_losses(model: Path, data: Path, *, device: str, threads: int = 1) -> dict[str, float]:
    """The loss of every sample of `data` that the proxy in the folder `model` can be shown, by id.

    Of `image_text` that of `caption_losses`, of `text_to_video` that of `denoising_losses`; `data` is as
    `read_captioned` takes it. `TrialError` where there is no such model, or nothing to show it.
    """
    kind, shape = kind_and_shape(model)
    if kind not in _LOSSES:
        raise TrialError("no result: another kind of model", f"this is {kind!r}", where=str(model))
    shown = read_captioned(data, Form(**shape["form"]))
    losses = _LOSSES[kind](model, shown, device=device, threads=threads)
    return dict(zip(shown.ids, losses.tolist(), strict=True))
