"""Stands in for T2V-Turbo's training: tars of videos and captions, by a pattern with braces."""

import argparse
import re
import tarfile
from pathlib import Path

OPTIONS = """output_dir train_shards_path_or_url max_train_samples max_train_steps checkpointing_steps train_batch_size
n_frames learning_rate adam_weight_decay adam_epsilon seed reward_scale video_rm_name video_reward_scale
pretrained_model_path video_rm_ckpt_dir report_to""".split()

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in OPTIONS:
    parser.add_argument(f"--{name}", required=name == "train_shards_path_or_url")
parser.add_argument("--no_scale_pred_x0", action="store_true")
given = parser.parse_args()
before, first, last, after = re.fullmatch(
    r"(.*)\{(\d+)\.\.(\d+)\}(.*)", given.train_shards_path_or_url
).groups()
videos, texts = [], []
for number in range(int(first), int(last) + 1):
    with tarfile.open(f"{before}{number:0{len(first)}d}{after}") as tar:
        videos += [name for name in tar.getnames() if name.endswith(".mp4")]
        texts += [name for name in tar.getnames() if name.endswith(".txt")]
assert len(videos) == len(texts) == int(given.max_train_samples)
folder = Path(given.output_dir) / f"checkpoint-{given.max_train_steps}"
folder.mkdir()
(folder / "unet_lora.pt").write_text(f"{len(videos)} {given.seed}")
