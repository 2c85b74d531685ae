"""TransNetV2 says of every frame what a plain pass of its published architecture says, and clips follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from made_videos import made, scenes
from sluice.codec.video import decode
from sluice.errors import MissingError
from sluice.model.transnetv2 import shapes, transitions
from sluice.operator import Span, registry, tracks
from sluice.operator.splitting import Splitter
from sluice.ops.video.shots import learned_transitions
from sluice.ops.video.transition import Transition
from sluice.ops.video.transnetv2 import Windows
from sluice.recipe.load import loads
from sluice.run import run
from sluice.sample import Item, Media, Sample


@pytest.fixture(autouse=True)
def _no_store() -> Iterator[None]:
    tracks.use(None)
    yield
    tracks.use(None)


class _Conv(nn.Module):
    def __init__(self, taken: int, filters: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(taken, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        reach = (dilation, 0, 0)
        time = nn.Conv3d(
            2 * filters, filters, (3, 1, 1), dilation=(dilation, 1, 1), padding=reach, bias=False
        )
        self.layers = nn.Sequential(space, time)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class _Block(nn.Module):
    def __init__(self, taken: int, filters: int) -> None:
        super().__init__()
        self.Conv3D_1, self.Conv3D_2 = _Conv(taken, filters, 1), _Conv(taken, filters, 2)
        self.Conv3D_4, self.Conv3D_8 = _Conv(taken, filters, 4), _Conv(taken, filters, 8)
        self.bn = nn.BatchNorm3d(4 * filters, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [conv(x) for conv in (self.Conv3D_1, self.Conv3D_2, self.Conv3D_4, self.Conv3D_8)]
        return self.bn(torch.cat(found, 1))


class _Stack(nn.Module):
    def __init__(self, taken: int, filters: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Block(taken, filters), _Block(4 * filters, filters)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.DDCNN[0](x))
        return functional.avg_pool3d(torch.relu(self.DDCNN[1](first)) + first, (1, 2, 2))


class _Layers(nn.Module):
    def __init__(self, **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)


class Reference(nn.Module):
    """One window as the paper draws it, frame by frame and pair by pair where ours is vectorised."""

    def __init__(self) -> None:
        super().__init__()
        self.SDDCNN = nn.ModuleList([_Stack(3, 16), _Stack(64, 32), _Stack(128, 64)])
        self.frame_sim_layer = _Layers(projection=nn.Linear(448, 128), fc=nn.Linear(101, 128))
        self.color_hist_layer = _Layers(fc=nn.Linear(101, 128))
        self.fc1, self.cls_layer1, self.cls_layer2 = (
            nn.Linear(4864, 1024),
            nn.Linear(1024, 1),
            nn.Linear(1024, 1),
        )

    def forward(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        x = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255
        means = []
        for stack in self.SDDCNN:
            x = stack(x)
            means.append(x.mean((3, 4))[0].T)
        features = torch.stack([x[0, :, t].permute(1, 2, 0).flatten() for t in range(len(frames))])
        seen = self.frame_sim_layer.projection(torch.cat(means, 1))
        similar = torch.relu(self.frame_sim_layer.fc(self._beside(seen)))
        colours = torch.stack([torch.from_numpy(self._histogram(f)) for f in frames])
        alike = torch.relu(self.color_hist_layer.fc(self._beside(colours)))
        hidden = torch.relu(self.fc1(torch.cat([alike, similar, features], 1)))
        return torch.sigmoid(self.cls_layer1(hidden))[:, 0]

    @staticmethod
    def _histogram(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        counts = np.zeros(512, np.float32)
        for red, green, blue in frame.reshape(-1, 3) // 32:
            counts[int(red) * 64 + int(green) * 8 + int(blue)] += 1
        return counts

    @staticmethod
    def _beside(vectors: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(vectors), 101)
        for t, vector in enumerate(vectors):
            for k in range(101):
                if 0 <= t + k - 50 < len(vectors):
                    found[t, k] = functional.cosine_similarity(vector, vectors[t + k - 50], dim=0)
        return found


def looped(reference: Reference, frames: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Probabilities by the loop of the authors' code: 25 before, 25 and what is missing of 50 after."""
    missing = -len(frames) % 50
    padded = [frames[0]] * 25 + frames + [frames[-1]] * (25 + missing)
    found = [
        reference(np.stack(padded[at : at + 100]))[25:75].numpy() for at in range(0, len(padded) - 99, 50)
    ]
    return np.concatenate(found)[: len(frames)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights of the real architecture, as published."""
    torch.manual_seed(0)
    model = Reference()
    for name, value in model.named_parameters():
        if name.startswith("SDDCNN") and "layers" in name:
            nn.init.kaiming_normal_(value)
    path = tmp_path_factory.mktemp("weights") / "transnetv2.pth"
    torch.save(model.state_dict(), path)
    return str(path)


def sample_of(data: bytes) -> Sample:
    return Sample("v", "v", (Item("video", "video/mp4", "mp4", media=Media(size=len(data), data=data)),))


def test_a_video_gets_what_a_plain_loop_gives_it(weights: str) -> None:
    data = made(scenes([23, 41]))
    splitter = registry().bind("video_split_shots", {"detector": "transnetv2", "weights": weights})
    assert set(splitter.bindings) == {"video_transnetv2"}, "the other detector's track is not measured"
    found = tracks.span(splitter.bindings["video_transnetv2"], Media(size=len(data), data=data))
    frames = list(decode(Media(size=len(data), data=data)))
    reference = Reference().eval()
    reference.load_state_dict(torch.load(weights, weights_only=True))
    with torch.inference_mode():
        expected = looped(reference, [f.small_rgb(48, 27) for f in frames])
    assert found["probability"] == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 1e-4, "the frames are told apart"
    assert found["pts"].tolist() == [f.pts for f in frames]
    assert found.times_s.tolist() == [f.time_s for f in frames]


@pytest.mark.parametrize("count", [1, 2, 49, 50, 51, 75, 99, 100, 101, 149, 150, 151])
def test_windows_are_those_of_the_authors(count: int) -> None:
    frames = [np.array([n]) for n in range(count)]
    windows = Windows()
    ours = [w for frame in frames for w in windows.add(frame)] + list(windows.rest())
    padded = [frames[0]] * 25 + frames + [frames[-1]] * (25 + -count % 50)
    theirs = [np.stack(padded[at : at + 100]) for at in range(0, len(padded) - 99, 50)]
    assert np.array_equal(ours, theirs)


def _track(probabilities: list[float]) -> Span:
    data = made(scenes([4]))
    info = tracks.span(registry().bind("video_content"), Media(size=len(data), data=data)).info
    times = np.arange(len(probabilities)) / 25
    columns = {"pts": np.arange(len(probabilities)), "probability": np.array(probabilities)}
    return Span(info, "", 0.0, len(times) / 25, times, columns)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.1, 0.1, 0.4, 0.1, 0.1], [Transition("cut", 0.12, 0.12, 0.4)]),
        ([0.1, 0.5, 0.9, 0.6, 0.1], [Transition("gradual", 0.04, 0.16, 0.9)]),
        ([0.9, 0.8, 0.1, 0.1, 0.9], [Transition("gradual", 0.0, 0.08, 0.9)]),
        ([0.1, 0.1, 0.1, 0.9, 0.9], [Transition("gradual", 0.12, 0.2, 0.9)]),
        ([0.39] * 5, []),
        ([0.9] * 5, []),
    ],
)
def test_transitions_are_runs_of_marked_frames(
    probabilities: list[float], expected: list[Transition]
) -> None:
    found = learned_transitions(_track(probabilities), 0.4)
    assert [(t.kind, t.score) for t in found] == [(t.kind, t.score) for t in expected]
    ends = [time for t in found for time in (t.start_s, t.end_s)]
    assert ends == pytest.approx([time for t in expected for time in (t.start_s, t.end_s)])


def test_a_video_without_transitions_is_one_clip(weights: str) -> None:
    settings: dict[str, Any] = {"detector": "transnetv2", "weights": weights, "min_probability": 1.0}
    (child,) = Splitter(registry().bind("video_split_shots", settings))(
        sample_of(made(scenes([30, 30])))
    ).children
    assert (child.fields["clip_start_s"], child.fields["clip_frames"]) == (0.0, 60)
    assert (child.fields["clip_start_kind"], child.fields["clip_end_kind"]) == ("start", "end")


@pytest.mark.parametrize("workers", [0, 1])
def test_wrong_weights_end_a_run_before_it_decodes(tmp_path: Path, workers: int) -> None:
    source, path = tmp_path / "in", tmp_path / "other.pth"
    source.mkdir()
    (source / "a.mp4").write_bytes(made(scenes([30, 30])))
    torch.save({"fc1.bias": torch.zeros(1)}, path)
    step = f"  - split: {{video_split_shots: {{detector: transnetv2, weights: {path}}}}}\n"
    recipe = loads(
        f"source: {{path: {source}}}\nsteps:\n{step}write: {{path: {tmp_path}/out, format: clips}}\n"
    )
    before = tracks.decoded().frames
    with pytest.raises(MissingError, match="does not hold the weights of TransNetV2"):
        run(recipe, workers=workers, quiet=True)
    assert tracks.decoded().frames == before


def test_one_model_serves_all_sources(weights: str) -> None:
    track = registry().bind("video_transnetv2", {"weights": weights})
    opened = [track.spec.target(**track.settings).open() for _ in range(2)]
    assert opened[0] is opened[1]


def test_other_weights_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({name: torch.zeros(shape) for name, shape in shapes().items() if name != "fc1.bias"}, path)
    with pytest.raises(MissingError, match=r"fc1\.bias"):
        transitions(str(path), device="cpu", dtype=torch.float32)
    path.write_bytes(b"not weights")
    with pytest.raises(MissingError, match="TransNetV2"):
        transitions(str(path), device="cpu", dtype=torch.float32)
