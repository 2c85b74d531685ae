"""Stands in for MGM's answering of questions about pictures."""

import argparse
import json
from pathlib import Path

OPTIONS = (
    "model-path question-file image-folder answers-file temperature conv-mode num-chunks chunk-idx".split()
)

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in OPTIONS:
    parser.add_argument(f"--{name}")
given = parser.parse_args()
model = json.loads((Path(given.model_path) / "config.json").read_text())
with Path(given.answers_file).open("w") as file:
    for line in Path(given.question_file).read_text().splitlines():
        question = json.loads(line)
        file.write(json.dumps({"question_id": question["question_id"], "text": str(model["samples"])}) + "\n")
