"""The whole journey on real pictures in one command: measure, judge, deduplicate, write, report."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from pictures import make_pictures

from sluice.errors import SluiceError


def main() -> int:
    """Run the ready recipe `images` on the given pictures, or on the demo's own."""
    parser = argparse.ArgumentParser(description="Curate pictures with the ready recipe `images`.")
    parser.add_argument("--source", help="your own pictures (default: some that the demo makes)")
    parser.add_argument("--output", default="demo", help="where to put everything (default: ./demo)")
    options = parser.parse_args()
    output = Path(options.output)
    try:
        source = options.source or _own_pictures(output / "pictures")
        return _curate(str(source), output)
    except ModuleNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except SluiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _own_pictures(folder: Path) -> Path:
    n = make_pictures(folder)
    print(f"Made {n} files in {folder}: real photographs, scans and microscopy, and seeded copies of them")
    print("that are scaled, recompressed, blurred, darkened, framed or broken (see examples/PICTURES.md).\n")
    return folder


def _curate(source: str, output: Path) -> int:
    import sluice.run
    from sluice.recipe import load
    from sluice.view.report import write

    curated = output / "curated"
    summary = sluice.run.run(load("images", source=source, output=str(curated)))
    print(f"\n{summary['read']} read = {summary['kept']} kept + {summary['dropped']} dropped"
          f" + {summary['duplicate']} duplicates + {summary['failed']} failed")  # fmt: skip
    shards = sorted(curated.glob("*.tar"))
    print(f"\n  Report   {write(str(curated))}   (open it in a browser)")
    print(
        f"  Shards   {shards[0] if len(shards) == 1 else curated}   (WebDataset tars, measures in Parquet beside them)"
    )
    command = (
        "sluice" if shutil.which("sluice") else os.path.relpath(Path(sys.executable).with_name("sluice"))
    )
    key = "originals/clock_motion" if Path(source) == output / "pictures" else "KEY"
    print("\nNext, try:")
    print(
        f"  {command} select {curated} --keep 'image_width_px >= 400'   # other rules, nothing measured again"
    )
    print(f"  {command} why {curated} {key}   # why a sample was kept or dropped")
    print(f"  {command} run images --source ~/Pictures --output curated   # your own pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
