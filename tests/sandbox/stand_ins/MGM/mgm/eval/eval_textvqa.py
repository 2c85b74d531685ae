"""Stands in for TextVQA's accuracy, as LLaVA prints it."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--annotation-file")
parser.add_argument("--result-file")
parser.add_argument("--result-dir")
given = parser.parse_args()
answers = [json.loads(line) for line in Path(given.result_file).read_text().splitlines()]
assert Path(given.annotation_file).is_file()
print("answers")
print(f"Samples: {len(answers)}\nAccuracy: {float(answers[0]['text']):.2f}%\n")
