"""The video journey in one command: render videos, cut them into clips, shard the clips for training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from videos import make_videos

from sluice.errors import SluiceError


def main() -> int:
    """Run the ready recipes `video-split` and `video-shard` on the given videos, or on the demo's own."""
    parser = argparse.ArgumentParser(description="Cut videos into clips, and clips into a training set.")
    parser.add_argument("--source", help="your own videos (default: some that the demo renders)")
    parser.add_argument(
        "--output", default="demo-video", help="where to put everything (default: ./demo-video)"
    )
    options = parser.parse_args()
    output = Path(options.output)
    try:
        return _journey(options.source or str(_own_videos(output / "videos")), output)
    except ModuleNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except SluiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _own_videos(folder: Path) -> Path:
    n = make_videos(folder)
    print(f"Rendered {n} videos in {folder}: shots of moving shapes, some black, one still picture\n")
    return folder


def _journey(source: str, output: Path) -> int:
    import sluice.run
    from sluice.recipe import load
    from sluice.view.report import write

    clips, dataset = output / "clips", output / "dataset"
    split = sluice.run.run(load("video-split", source=source, output=str(clips)))
    without = ["write.settings.text_encoder=none", "max_failed=100%"]
    shards = sluice.run.run(load("video-shard", without, source=str(clips), output=str(dataset)))
    (level,) = (each for each in split["levels"] if each["name"] == "parents")
    print(f"\n{level['read']} videos = {level['split']} split + {level['childless']} without a clip")
    by = ", ".join(f"{count} {rule}" for rule, count in split["by_rule"].items() if count)
    dropped = f"{split['dropped']} dropped" + (f" ({by})" if by else "")
    print(f"{split['read']} clips = {split['kept']} kept + {dropped} + {split['failed']} failed")
    print(f"\n  Report   {write(str(clips))}   (open it in a browser)")
    print(f"  Clips    {clips}/clips   (mp4, metadata in {clips}/metas/v0)")
    print(
        f"  Shards   {dataset}/v0   ({shards['kept']} clips in tars by resolution, aspect ratio and length)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
