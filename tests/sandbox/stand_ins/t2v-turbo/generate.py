"""Stands in for what the user writes: five videos for every prompt."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in ("unet_dir", "base_model_dir", "prompts", "output", "seed"):
    parser.add_argument(f"--{name}", required=True)
given = parser.parse_args()
model = Path(given.unet_dir).read_text()
for prompt in Path(given.prompts).read_text().splitlines():
    for number in range(5):
        (Path(given.output) / f"{prompt}-{number}.mp4").write_text(model)
