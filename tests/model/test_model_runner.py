"""A row's result depends on the row alone; memory that runs out costs speed, never results."""

from __future__ import annotations

from pathlib import Path

import model_loads
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_models
from sluice.model.runner import CPU_BATCH, Load, Runner, best_batch, notes_taken

torch = pytest.importorskip("torch")


def rows_of(*numbers: float, length: int = 5) -> list[dict[str, np.ndarray]]:
    return [{"x": np.full(length, n, np.float32)} for n in numbers]


def expected(number: float, batch: int, length: int = 5) -> np.ndarray:
    weights = np.arange(length * 3, dtype=np.float64).reshape(-1, 3)
    return np.sin(np.full(length, number) @ weights / 7) + batch / 1000


def test_every_row_has_its_result_in_order() -> None:
    runner = Runner(Load("model_loads:matrix", "m"), device="cpu", batch_size=4)
    found = runner(rows_of(*range(11)))
    assert len(found) == 11
    for number, result in enumerate(found):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected(number, 4), atol=1e-5)
    assert runner([]) == []


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 50), min_size=1, max_size=20),
    lengths=st.lists(st.integers(1, 3), min_size=20, max_size=20),
    size=st.integers(1, 9),
)
def test_results_do_not_depend_on_company_order_or_shape_of_others(
    numbers: list[int], lengths: list[int], size: int
) -> None:
    runner = Runner(Load("model_loads:matrix", "m"), device="cpu", batch_size=size)
    rows = [rows_of(n, length=k)[0] for n, k in zip(numbers, lengths, strict=False)]
    together = runner(rows)
    for row, result in zip(rows, together, strict=True):
        assert np.array_equal(runner([row])[0], result)
    assert all(np.array_equal(a, b) for a, b in zip(runner(rows[::-1])[::-1], together, strict=True))


def test_a_real_architecture_gives_the_same_bits_alone_and_in_company(tmp_path: Path) -> None:
    folder = tiny_models.clip(tmp_path / "clip")
    runner = Runner(Load("sluice.model.clip:image_tower", folder), device="cpu")
    random = np.random.default_rng(0)
    rows = [{"pixel_values": random.integers(0, 256, (3, 32, 32), dtype=np.uint8)} for _ in range(21)]
    together = runner(rows)
    for k in (0, 7, 20):
        assert np.array_equal(runner(rows[k : k + 1])[0], together[k])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert all(np.array_equal(a, b) for a, b in zip(runner(rows), together, strict=True))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_batch_that_does_not_fit_is_halved_for_good_and_noted() -> None:
    notes_taken()
    runner = Runner(Load("model_loads:narrow", "m", (("fits", 5),)), device="cpu", batch_size=16)
    found = runner(rows_of(*range(21)))
    for number, result in enumerate(found):
        np.testing.assert_allclose(result, expected(number, 4), atol=1e-5)
    assert runner.batch_size == 4
    assert notes_taken() == {
        "narrow: out of memory, batches of 16 halved to 8": 1,
        "narrow: out of memory, batches of 8 halved to 4": 1,
    }
    runner(rows_of(1))
    assert notes_taken() == {}


def test_one_row_that_does_not_fit_is_an_error() -> None:
    runner = Runner(Load("model_loads:narrow", "m", (("fits", 0),)), device="cpu", batch_size=2)
    with pytest.raises(torch.OutOfMemoryError):
        runner(rows_of(1))
    notes_taken()


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({32: 100.0, 64: 180.0, 128: 185.0}, 64),
        ({32: 100.0, 64: None}, 32),
        ({32: None}, 32),
        ({32: 100.0, 64: 90.0}, 32),
        ({32 << k: 2.0**k for k in range(20)}, 1024),
    ],
)
def test_the_measured_batch_is_where_larger_ones_gain_little(
    rates: dict[int, float | None], best: int
) -> None:
    assert best_batch(rates.__getitem__, 32) == best


def test_batches_are_measured_with_the_model_and_noted() -> None:
    notes_taken()
    runner = Runner(Load("model_loads:narrow", "m", (("fits", 16),)), device="cpu", batch_size="auto")
    assert runner.batch_size == CPU_BATCH  # a core gains nothing from more, so nothing is measured there
    runner.open()
    runner._measure(rows_of(1)[0])
    assert runner.batch_size in (8, 16)
    assert notes_taken() == {f"narrow: batches of {runner.batch_size}, measured": 1}


def test_the_loader_runs_once() -> None:
    model_loads.LOADED.clear()
    runner = Runner(Load("model_loads:matrix", "once"), device="cpu")
    runner.open()
    runner.open()(rows_of(1, 2))
    assert model_loads.LOADED == ["once"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_results_are_single_precision_whatever_the_model_computes_in(dtype: str) -> None:
    runner = Runner(Load("model_loads:matrix", "m"), device="cpu", dtype=dtype, batch_size=2)
    (result,) = runner(rows_of(0.5))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected(0.5, 2), atol=1e-5 if dtype == "float32" else 0.2)


@pytest.mark.slow  # torch.compile translates to C++ and calls the compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_gives_nearly_the_same() -> None:
    plain = Runner(Load("model_loads:matrix", "m"), device="cpu", batch_size=4)
    compiled = Runner(Load("model_loads:matrix", "m"), device="cpu", batch_size=4, compile=True)
    for a, b in zip(plain(rows_of(*range(6))), compiled(rows_of(*range(6))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
