"""Clip trees as the tests need them: real clips under ids, with metadata in a peer's names."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

TEXTS = ("a cat sits on the grass", "the red dog runs", "two cats on the grass and a dog")


def window(number: int, text: str | None, model: str = "qwen", **more: Any) -> dict[str, Any]:
    """The window of 256 frames with this number."""
    return {"start_frame": 256 * number, "end_frame": 256 * (number + 1), f"{model}_caption": text, **more}


def metadata(key: str, windows: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """What cosmos-curate says of a clip."""
    return {
        "span_uuid": key,
        "source_video": "raw/street.mp4",
        "duration_span": [2.5, 12.5],
        "width_source": 1920,
        "height_source": 1080,
        "framerate_source": 30.0,
        "clip_location": f"/old/place/clips/{key}.mp4",
        "motion_score": {"global_mean": 0.002, "per_patch_min_256": 0.001},
        "aesthetic_score": None,
        "windows": [window(0, TEXTS[0])] if windows is None else windows,
        "valid": True,
        "has_caption": windows is None or bool(windows),
        "width": 1280,
        "height": 720,
        "framerate": 30.0,
        "num_frames": 200,
        "video_codec": "h264",
        **more,
    }


def add_clip(
    folder: Path, key: str, clip: bytes | None, told: dict[str, Any] | bytes | None, version: str = "v0"
) -> None:
    """One clip of a tree; None leaves a part of it out."""
    clips, metas = folder / "clips", folder / "metas" / version
    clips.mkdir(parents=True, exist_ok=True)
    metas.mkdir(parents=True, exist_ok=True)
    if clip is not None:
        (clips / f"{key}.mp4").write_bytes(clip)
    if told is not None:
        data = told if isinstance(told, bytes) else json.dumps(told, indent=4).encode()
        (metas / f"{key}.json").write_bytes(data)


@cache
def rendered(width: int, height: int, frames: int, seed: int = 0) -> bytes:
    """An MP4 of this size and number of frames at 30 a second, whose grey moves with `seed`."""
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "40"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            grey = np.full((height, width, 3), (seed * 37 + number) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
