"""Stands in for VLMEvalKit: models and data by a configuration, results in CSV files below the model's name."""

import argparse
import csv
import json
from pathlib import Path

CLASSES = {"MMBench_DEV_EN": "ImageMCQDataset", "MME": "ImageYORNDataset"}

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--config", required=True)
parser.add_argument("--work-dir", default="./outputs")
parser.add_argument("--judge")
parser.add_argument("--verbose", action="store_true")
given = parser.parse_args()
config = json.loads(Path(given.config).read_text())
((name, model),) = config["model"].items()
((data, dataset),) = config["data"].items()
assert model.pop("class") in ("Mini_Gemini", "Qwen2VLChat")
assert dataset == {"class": CLASSES[data], "dataset": data}
made = json.loads((Path(model["model_path"]) / "config.json").read_text())
value = made["samples"] + made["seed"] / 100
rows, end = {
    "MMBench_DEV_EN": ({"split": "dev", "Overall": value / 100, "AR": 0.5}, "acc"),
    "MME": ({"perception": value, "reasoning": value / 2, "OCR": 1.0}, "score"),
}[data]
folder = Path(given.work_dir) / name
(folder / "T20240101_Gabcdef12").mkdir(parents=True)
result = f"{name}_{data}_{end}.csv"
with (folder / "T20240101_Gabcdef12" / result).open("w", newline="") as file:
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerows([rows, rows.values()])
(folder / result).symlink_to(folder / "T20240101_Gabcdef12" / result)
