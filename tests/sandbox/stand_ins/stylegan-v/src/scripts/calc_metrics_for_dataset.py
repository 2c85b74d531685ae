"""Stands in for StyleGAN-V's FVD: prints its results as one line of JSON."""

import argparse
import json
from pathlib import Path

OPTIONS = "real_data_path fake_data_path mirror gpus resolution metrics verbose use_cache num_runs".split()

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in OPTIONS:
    parser.add_argument(f"--{name}")
given = parser.parse_args()
assert Path(given.real_data_path).is_dir()
count = len(list(Path(given.fake_data_path).iterdir()))
print("Calculating fvd2048_16f...")
print(json.dumps({"results": {given.metrics: 100.5 + count}, "metric": given.metrics, "total_time": 1.0}))
