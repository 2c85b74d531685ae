"""Heads give what their authors' networks give, from the files as they were published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

import tiny_models
from sluice.errors import MissingError, SampleError
from sluice.model.heads import aesthetics, nsfw, sigmoid

MLP = "models/improved-aesthetic-predictor__sac+logos+ava1-l14-linearMSE.pth"
LINEAR = {768: "models/aesthetic-predictor__sa_0_4_vit_l_14_linear.pth"}
LINEAR[512] = "models/aesthetic-predictor__sa_0_4_vit_b_32_linear.pth"


def _unit(size: int, seed: int = 0) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).normal(size=size)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_the_published_mlp_gives_what_its_layers_give_by_hand(data_dir: Path) -> None:
    state = torch.load(data_dir / MLP, map_location="cpu", weights_only=True)
    for seed in range(5):
        x = _unit(768, seed).astype(np.float64)
        for k in (0, 2, 4, 6, 7):
            x = state[f"layers.{k}.weight"].numpy().astype(np.float64) @ x + state[f"layers.{k}.bias"].numpy()
        assert aesthetics(str(data_dir / MLP))(_unit(768, seed)) == pytest.approx(float(x[0]), abs=1e-12)


def test_the_published_mlp_gives_what_its_authors_network_gives(data_dir: Path) -> None:
    sizes = [(768, 1024), (1024, 128), (128, 64), (64, 16), (16, 1)]
    rates = [0.2, 0.2, 0.1, None, None]
    parts: list[torch.nn.Module] = []
    for (before, after), rate in zip(sizes, rates, strict=True):
        parts += [torch.nn.Linear(before, after), *([torch.nn.Dropout(rate)] if rate else [])]
    network = torch.nn.Sequential(*parts).eval()
    state = torch.load(data_dir / MLP, map_location="cpu", weights_only=True)
    network.load_state_dict({key.removeprefix("layers."): value for key, value in state.items()})
    with torch.inference_mode():
        expected = network(torch.from_numpy(_unit(768))[None]).item()
    assert aesthetics(str(data_dir / MLP))(_unit(768)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [768, 512])
def test_the_published_linear_heads_give_a_product(data_dir: Path, size: int) -> None:
    path = data_dir / LINEAR[size]
    state = torch.load(path, map_location="cpu", weights_only=True)
    expected = (
        state["weight"].double().numpy() @ _unit(size).astype(np.float64) + state["bias"].double().numpy()
    )
    assert aesthetics(str(path))(_unit(size)) == pytest.approx(float(expected[0]), abs=1e-12)


def test_published_heads_rate_the_embedding_of_the_best_rating_above_that_of_the_worst(
    data_dir: Path,
) -> None:
    worst, best = (np.load(data_dir / f"models/aesthetic-predictor__rating{n}.npy")[0] for n in (0, 9))
    for path in (MLP, LINEAR[768]):
        head = aesthetics(str(data_dir / path))
        assert head(worst) < head(best)


def test_the_nsfw_head_gives_what_its_architecture_gives(tmp_path: Path) -> None:
    path = tiny_models.nsfw_head(tmp_path / "nsfw")
    tensors = {key: torch.from_numpy(value) for key, value in load_file(path).items()}
    x = torch.from_numpy(_unit(768))
    x = (x - tensors["norm.mean"]) / tensors["norm.variance"].sqrt()
    for k in (1, 2, 3, 4):
        x = torch.nn.functional.linear(x, tensors[f"linear_{k}.weight"], tensors[f"linear_{k}.bias"])
        x = torch.relu(x) if k < 4 else torch.sigmoid(x)
    assert sigmoid(nsfw(path)(_unit(768))) == pytest.approx(x.item(), abs=1e-6)


@pytest.mark.parametrize("ending", [".pth", ".npz"])
def test_a_head_is_the_same_from_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    first = tiny_models.nsfw_head(tmp_path / "nsfw")
    tensors, other = load_file(first), tmp_path / f"other{ending}"
    if ending == ".npz":
        np.savez(other, **tensors)
    else:
        torch.save({key: torch.from_numpy(value) for key, value in tensors.items()}, other)
    assert nsfw(str(other))(_unit(768)) == nsfw(first)(_unit(768))


def test_a_head_for_another_embedding_says_so(tmp_path: Path) -> None:
    head = aesthetics(tiny_models.aesthetics_head(tmp_path / "head"))
    with pytest.raises(SampleError, match="takes 768 numbers, the embedding has 512"):
        head(_unit(512))


def test_another_head_and_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no tensor 'layers\.0\.weight'"):
        aesthetics(tiny_models.nsfw_head(tmp_path / "nsfw"))
    with pytest.raises(MissingError, match=r"no tensor 'norm\.mean'"):
        nsfw(tiny_models.aesthetics_head(tmp_path / "mlp"))
    odd = tmp_path / "head.txt"
    odd.write_text("0.5")
    with pytest.raises(MissingError, match=r"not from 'head\.txt'"):
        aesthetics(str(odd))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "mlp.safetensors").read_bytes()[:1000])
    with pytest.raises(MissingError, match="cannot be read"):
        aesthetics(str(cut))


def test_layers_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    tensors = load_file(tiny_models.aesthetics_head(tmp_path / "mlp"))
    tensors["layers.2.weight"] = tensors["layers.2.weight"][:, :100]
    np.savez(tmp_path / "odd.npz", **tensors)
    with pytest.raises(MissingError, match="follows one of 1024 numbers"):
        aesthetics(str(tmp_path / "odd.npz"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(MissingError, match="cannot be read"):
        aesthetics(str(tmp_path / "bomb.pth"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("x", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_the_sigmoid_never_overflows(x: float) -> None:
    assert 0.0 <= sigmoid(x) <= 1.0
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1.0)
