"""Stands in for VBench: videos named after their prompts, a score and a list of single ones for every dimension."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--output_path", default="./evaluation_results/")
parser.add_argument("--full_json_dir")
parser.add_argument("--videos_path", required=True)
parser.add_argument("--dimension", nargs="+", required=True)
given = parser.parse_args()
videos = sorted(Path(given.videos_path).glob("*-[0-4].mp4"))
samples, seed = (int(part) for part in videos[0].read_text().split())
found = {
    name: [samples / 100 + seed / 1e4, [{"video_path": str(v)} for v in videos]] for name in given.dimension
}
folder = Path(given.output_path)
folder.mkdir(exist_ok=True)
(folder / "results_2024-01-01-00:00:00_full_info.json").write_text("[]")
(folder / "results_2024-01-01-00:00:00_eval_results.json").write_text(json.dumps(found))
print("done")
