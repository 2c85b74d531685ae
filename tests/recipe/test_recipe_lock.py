"""The lock holds everything a result depends on, and shows when it was tampered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import RecipeError
from sluice.recipe import loads
from sluice.recipe.lock import ColumnLock, Lock
from sluice.storage import Location


def lock(**changes: object) -> Lock:
    columns = (
        ColumnLock(
            column="b", operator="image_sharpness", version=1, fingerprint="22", settings={"y": 1, "x": "no"}
        ),
        ColumnLock(
            column="a", operator="image_width_px", version=2, fingerprint="11", libraries={"pillow": "13.0"}
        ),
    )
    recipe = loads("source: x\nsteps: [{keep: a > 1}]").to_data(full=True)
    given = {
        "sluice": "0.1.0",
        "recipe": recipe,
        "columns": columns,
        "source_digest": "ab",
        "seeds": {"steps.0": 7},
    }
    return Lock.model_validate(given | changes)


def test_a_lock_round_trips_through_a_file(tmp_path: Path) -> None:
    place = Location(tmp_path / "lock.yaml")
    lock().write(place)
    again = Lock.read(place)
    assert again.digest == lock().digest
    assert again.to_yaml() == lock().to_yaml()


def test_the_locked_recipe_is_the_recipe() -> None:
    from sluice.recipe.build import build_recipe
    from sluice.recipe.yaml_text import Document

    assert build_recipe(Document(lock().recipe)) == loads("source: x\nsteps: [{keep: a > 1}]")


def test_order_does_not_change_the_text_or_the_digest() -> None:
    turned = lock(columns=tuple(reversed(lock().columns)))
    assert (turned.digest, turned.to_yaml()) == (lock().digest, lock().to_yaml())


@given(
    st.sampled_from(
        [{"sluice": "0.2"}, {"source_digest": "x"}, {"seeds": {}}, {"columns": ()}, {"recipe": {}}]
    )
)
def test_every_part_counts(change: dict[str, object]) -> None:
    assert lock(**change).digest != lock().digest


def test_the_text_is_what_it_is() -> None:
    assert lock(recipe={"source": {"path": "x"}}, columns=lock().columns[:1]).to_yaml() == (
        "# digest 2ede3fcad4051ffc407a7785c4d1d37b\n"
        "sluice: 0.1.0\nrecipe:\n  source:\n    path: x\ncolumns:\n- column: b\n  operator: image_sharpness\n"
        "  version: 1\n  fingerprint: '22'\n  settings:\n    x: 'no'\n    y: 1\n  libraries: {}\n  models: {}\n"
        "source_digest: ab\nseeds:\n  steps.0: 7\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("version: 1", "version: 3"), "lock:1: the lock was changed after it was written"),
        (("version: 1", "version: x"), "lock:35: `columns.1.version`"),
        (("sluice: 0.1.0\n", ""), "`sluice`: field required"),
    ],
)
def test_a_changed_lock_is_noticed(change: tuple[str, str], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        Lock.from_yaml(lock().to_yaml().replace(*change))
    assert message in str(error.value)
