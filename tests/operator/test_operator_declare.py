"""Declarations that cannot be understood say so at once, and say what to change."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypedDict, Unpack

import pytest
from declared_operators import Span, text_opened, text_span, text_vowels
from pydantic import Field as Described
from pydantic import ValidationError

from sluice.operator import DeclarationError, Field, deduplicator, feature, mapper, measure, splitter


def test_a_declaration_is_read_from_its_annotations() -> None:
    spec = text_vowels.spec
    assert (spec.name, spec.kind, spec.scope, spec.version, spec.cost) == (
        "text_vowels",
        "measure",
        "text",
        1,
        "header",
    )
    assert [need.name for need in spec.needs] == ["letters"]
    assert spec.settings().model_dump() == {"also_y": False}
    (output,) = spec.outputs
    assert (output.name, output.kind, output.field.unit, output.field.ge) == (
        "text_vowels",
        "number",
        "letters",
        0,
    )
    assert spec.question.startswith("Operators declared for these tests")
    assert not spec.batched


def test_a_named_tuple_makes_a_column_a_field() -> None:
    assert [o.name for o in text_span.spec.outputs] == ["text_span_first", "text_span_last"]
    assert Span._fields == ("first", "last")


def test_settings_of_a_class_are_those_of_its_init() -> None:
    spec = text_opened.spec
    assert spec.is_class
    assert list(spec.settings.model_fields) == ["add"]
    assert [need.name for need in spec.needs] == ["text"]


class Shared(TypedDict):
    url: Annotated[str, Described(description="where")]
    retries: Annotated[int, Described(4, ge=0)]


class Told(NamedTuple):
    value: Annotated[str, Field()]
    tokens: Annotated[int, Field(unit="tokens")]


@measure(version=1, cost="remote")
class text_asked:  # noqa: N801
    """Asks."""

    def __init__(self, *, prompt: str = "What?", **shared: Unpack[Shared]) -> None:
        self.told = (prompt, shared["url"], shared["retries"])

    def __call__(self, text: str) -> Told:
        return Told(text, 1)


def test_settings_that_operators_share_are_each_ones_own() -> None:
    settings = text_asked.spec.settings
    assert settings(url="u").model_dump() == {"prompt": "What?", "url": "u", "retries": 4}
    assert settings.model_fields["url"].is_required()
    assert settings.model_fields["url"].description == "where"
    for wrong in ({"url": "u", "retries": -1}, {"url": "u", "retires": 1}, {}):
        with pytest.raises(ValidationError):
            settings(**wrong)


def test_the_field_called_value_has_the_operators_own_name() -> None:
    assert [o.name for o in text_asked.spec.outputs] == ["text_asked", "text_asked_tokens"]


def _sharpness(gray: Any) -> Annotated[float, Field(unit="variance")]:
    return 0.0


def _no_annotation(gray: Any):  # type: ignore[no-untyped-def]
    return 0.0


def _plain(gray: Any) -> float:
    return 0.0


def _two_fields(gray: Any) -> Annotated[float, Field(unit="a"), Field(unit="b")]:
    return 0.0


def _no_column(gray: Any) -> Annotated[dict[str, int], Field(unit="a")]:
    return {}


def _swallows(gray: Any, **settings: Any) -> Annotated[float, Field(unit="a")]:
    return 0.0


def _untyped_setting(gray: Any, *, size=3) -> Annotated[float, Field(unit="a")]:  # type: ignore[no-untyped-def]
    return 0.0


def _unknown_annotation(gray: Missing) -> Annotated[float, Field(unit="a")]:  # type: ignore[name-defined]  # noqa: F821
    return 0.0


@pytest.mark.parametrize(
    ("function", "name", "message"),
    [
        (
            _sharpness,
            "sharpness",
            r"sharpness: the name must begin with one of image_text, .* \(or give scope=\)",
        ),
        (
            _no_annotation,
            "image_x",
            r"image_x: the return annotation must be Annotated\[<type>, Field\(...\)\]",
        ),
        (_plain, "image_x", r"image_x: the return annotation must be Annotated\[<type>, Field\(...\)\]"),
        (_two_fields, "image_x", r"image_x: the return annotation needs exactly one Field\(...\)"),
        (_no_column, "image_x", r"image_x: cannot store values of type dict\[str, int\]"),
        (_swallows, "image_x", r"image_x: \*args and \*\*kwargs hide misspelt settings; name each one"),
        (_untyped_setting, "image_x", r"image_x: setting 'size' needs an annotation"),
        (
            _unknown_annotation,
            "image_x",
            r"image_x: an annotation is not there at run time .*outside TYPE_CHECKING",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused(function: Any, name: str, message: str) -> None:
    function.__name__ = name
    with pytest.raises(DeclarationError, match=message):
        measure(version=1, cost="decode")(function)


def test_a_scope_may_be_given_instead_of_named() -> None:
    def brightness(gray: Any) -> Annotated[float, Field(unit="luma")]:
        return 0.0

    assert measure(version=1, cost="decode", scope="image")(brightness).spec.scope == "image"


def test_the_longest_modality_word_decides() -> None:
    def image_text_similarity(x: Any) -> Annotated[float, Field(unit="cosine")]:
        return 0.0

    assert measure(version=1, cost="model")(image_text_similarity).spec.scope == "pair"


def test_a_feature_of_lists_is_not_taken_for_a_batched_one() -> None:
    def words(text: str) -> list[str]:
        return text.split()

    assert not feature(scope="text", version=1, cost="header")(words).spec.batched
    assert feature(scope="text", version=1, cost="header", batched=True)(words).spec.batched


def test_the_other_kinds_are_declared_alike() -> None:
    def image_resize(item: Any, *, width_px: int = 512) -> bytes:
        return b""

    def sample_pairs(sample: Any) -> list[Any]:
        return []

    def near(values: Any, *, distance: int, how: Literal["a", "b"] = "a") -> Any:
        return None

    assert mapper(version=1)(image_resize).spec.kind == "mapper"
    assert splitter(version=1)(sample_pairs).spec.scope == "sample"
    spec = deduplicator(version=1, by="bits")(near).spec
    assert (spec.kind, spec.by, spec.scope) == ("deduplicator", "bits", "columns")
    assert spec.settings.model_fields["distance"].is_required()
