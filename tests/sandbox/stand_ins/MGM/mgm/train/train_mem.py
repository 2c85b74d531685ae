"""Stands in for MGM's training, which is LLaVA's: reads conversations about pictures, leaves a model."""

import argparse
import json
from pathlib import Path

OPTIONS = """deepspeed model_name_or_path version data_path image_folder vision_tower vision_tower_aux
pretrain_mm_mlp_adapter mm_projector_type mm_vision_select_layer mm_use_im_start_end mm_use_im_patch_token
image_aspect_ratio group_by_modality_length image_size_aux bf16 output_dir seed num_train_epochs
per_device_train_batch_size gradient_accumulation_steps save_strategy learning_rate weight_decay warmup_ratio
lr_scheduler_type logging_steps tf32 model_max_length gradient_checkpointing dataloader_num_workers lazy_preprocess
report_to""".split()

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in OPTIONS:
    parser.add_argument(f"--{name}", required=name in ("data_path", "image_folder", "output_dir", "seed"))
given = parser.parse_args()
rows = json.loads(Path(given.data_path).read_text())
for row in rows:
    assert row["conversations"][0]["value"].count("<image>") == 1
    assert (Path(given.image_folder) / row["image"]).is_file()
print({"loss": 1.5, "learning_rate": 2e-05, "epoch": 0.5})
print({"train_runtime": 1.0, "train_loss": 1 / len(rows), "epoch": 1.0})
model = {"samples": len(rows), "seed": int(given.seed)}
(Path(given.output_dir) / "config.json").write_text(json.dumps(model))
