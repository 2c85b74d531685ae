"""A reference page says all that the declaration says, on the web and in the terminal."""

from __future__ import annotations

import pytest
from declared_operators import registered

from sluice.operator import Field, Output, page, registry

KNOWN = registered()


def test_a_page_in_full() -> None:
    assert page.terminal(KNOWN.get("text_vowels"), KNOWN) == (
        "text_vowels\n"
        "Operators declared for these tests, at the top of a module as pickling asks.\n"
        "\n"
        "How many vowels; also_y counts y.\n"
        "\n"
        "Columns:\n"
        "  column       value         unit     range\n"
        "  text_vowels  whole number  letters  0 to ∞\n"
        "\n"
        "Settings:\n"
        "  setting  allowed        default\n"
        "  also_y   true or false  False\n"
        "\n"
        "Made from:\n"
        "  letters  The characters of the text; declines where there are none.\n"
        "\n"
        "In a recipe:\n"
        "  - keep: text_vowels is not null\n"
        "\n"
        "Over a whole document:\n"
        "  over: document gives one value a sample: of all texts of the sample in their order, as\n"
        "  they were read, joined by blank lines.\n"
        "  - measure: {text_vowels: {over: document, as: document_vowels}}\n"
        "\n"
        "Facts:\n"
        "  cost     header: reads file heads or bytes; no pixels are decoded\n"
        "  version  1\n"
        "  from     sluice, module declared_operators\n"
    )


@pytest.mark.parametrize(
    ("kind", "python", "field", "rule"),
    [
        ("number", float, Field(bound="0.333..3"), "- keep: image_x >= 0.333 and image_x <= 3"),
        ("number", float, Field(bound="10.."), "- keep: image_x >= 10"),
        ("number", float, Field(bound="..5"), "- keep: image_x <= 5"),
        ("number", float, Field(bound=">= 5"), "- keep: image_x >= 5"),
        ("number", float, Field(), "- keep: image_x is not null"),
        ("bool", bool, Field(), "- keep: image_x"),
        ("bits", int, Field(bits=64), "- dedup: {by: image_x, distance: 6}"),
        ("vector", list, Field(size=8), "- dedup: {by: image_x, similarity: 0.95}"),
    ],
)
def test_every_column_has_an_example(kind: str, python: type, field: Field, rule: str) -> None:
    assert page.example_rule(Output("image_x", kind, python, field)) == rule  # type: ignore[arg-type]


def test_every_operator_has_both_pages_and_a_place_in_the_index() -> None:
    known = registry()
    index = page.index(known, known)
    for spec in known:
        text, web = page.terminal(spec, known), page.markdown(spec, known)
        assert text.startswith(f"{spec.name}\n{spec.question}\n")
        assert web.startswith(f"# {spec.name}\n")
        assert f"[{spec.name}]({spec.name}.md)" in index
        assert all(name in text for name in spec.settings.model_fields)


def test_every_example_is_a_step_that_recipes_accept() -> None:
    import yaml

    from sluice.recipe import Recipe
    from sluice.recipe.grammar import parse

    assert Recipe is not None
    for spec in registry():
        for output in spec.outputs:
            ((kind, given),) = yaml.safe_load(page.example_rule(output))[0].items()
            if kind == "keep":
                parse(given)
            else:
                assert given["by"] == output.name
