"""Stands in for EasyAnimate's training of a LoRA: a folder of videos and a CSV table that names them."""

import argparse
import csv
import sys
from pathlib import Path

OPTIONS = """pretrained_model_name_or_path transformer_path config_path train_data_format train_mode train_data_dir
train_data_meta sample_size sample_stride sample_n_frames train_batch_size gradient_accumulation_steps max_train_steps
checkpointing_steps dataloader_num_workers learning_rate adam_weight_decay adam_epsilon max_grad_norm seed output_dir
mixed_precision vae_mini_batch""".split()

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in OPTIONS:
    parser.add_argument(f"--{name}", required=name.startswith("train_data"))
parser.add_argument("--gradient_checkpointing", action="store_true")
parser.add_argument("--enable_xformers_memory_efficient_attention", action="store_true")
given = parser.parse_args()
assert Path(given.train_data_meta).suffix in (".csv", ".json")
with Path(given.train_data_meta).open(newline="") as file:
    rows = list(csv.DictReader(file))
for row in rows:
    assert (Path(given.train_data_dir) / row["file_path"]).is_file()
    assert row["text"]
    assert row["type"] == "video"
sys.stderr.write(f"\rSteps: 100%|##| 1/1 [00:01<00:00, lr=2e-5, step_loss={1 / len(rows)}]\n")
step = given.max_train_steps
(Path(given.output_dir) / f"checkpoint-{step}.safetensors").write_text(f"{len(rows)} {given.seed}")
