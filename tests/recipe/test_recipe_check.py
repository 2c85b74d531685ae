"""Rules are checked against the fields there are, before any work."""

from __future__ import annotations

import pytest

from sluice.errors import RuleError
from sluice.recipe import Fields, FieldType, check, check_items, parse

IMAGES = {
    "image_width_px": FieldType("image_width_px", "number", "item", "image", "px"),
    "image_sharpness": FieldType("image_sharpness", "number", "item", "image", "variance"),
    "image_animated": FieldType("image_animated", "bool", "item", "image"),
    "image_phash": FieldType("image_phash", "bits", "item", "image", "hash"),
    "text_length": FieldType("text_length", "number", "item", "text", "characters"),
    "language": FieldType("language", "text"),
    "items": FieldType("items", "number"),
    "image_width_px@2": FieldType("image_width_px", "number", "item", "image", "px"),
}
FIELDS = Fields(IMAGES)
SEVERAL = Fields(IMAGES, {"image": True, "text": False})

ERRORS = {
    "image_sharpnes >= 5": (
        "there is no field `image_sharpnes`\n  image_sharpnes >= 5\n  ^\n  → did you mean `image_sharpness`?"
    ),
    "image_sharpness": (
        "a rule must be true or false; this is a number\n  image_sharpness\n  ^\n"
        "  → compare it with something: `image_sharpness >= 1`"
    ),
    "5": (
        "a rule must be true or false; this is a number\n  5\n  ^\n"
        "  → write a condition, such as `image_width_px >= 256`"
    ),
    "5 > 3": "the rule looks at no field: it says the same of every sample\n  5 > 3\n    ^",
    "image_width_px >= '256'": (
        "`image_width_px` is a number and cannot be compared with `'256'`, a text\n"
        "  image_width_px >= '256'\n                    ^\n  → texts take single quotes, numbers none"
    ),
    'language = "en"': (
        "there is no field `en`\n  language = \"en\"\n             ^\n  → a text takes single quotes: 'en'"
    ),
    "any(any(image_sharpness > 5))": (
        "`any(…)` cannot stand inside `any(…)`\n  any(any(image_sharpness > 5))\n      ^\n"
        "  → join the two with `and` or `or` instead"
    ),
    "any(image_width_px > 5 and text_length > 5)": (
        "`any` ranges over the items of one modality, but `image_width_px` is of image items "
        "and `text_length` of text items\n  any(image_width_px > 5 and text_length > 5)\n"
        "                             ^\n  → judge each modality in its own condition, joined with `and`"
    ),
    "any(items > 5)": (
        "`any` has nothing to range over: every field in it is one value a sample\n  any(items > 5)\n  ^\n"
        "  → write `items > 5` without `any`"
    ),
    "any(image_sharpness) + 1 > 5": (
        "`any` needs a condition, but `image_sharpness` is a number\n  any(image_sharpness) + 1 > 5\n"
        "      ^\n  → such as any(image_sharpness >= 1)"
    ),
    "image_sharpness and image_animated": (
        "`and` needs true or false, but `image_sharpness` is a number\n  image_sharpness and image_animated\n"
        "  ^\n  → compare it: `image_sharpness >= …`"
    ),
    "language + 1 > 2": "`+` needs a number, but `language` is a text\n  language + 1 > 2\n  ^",
    "image_phash = 5": (
        "`image_phash` holds bits and cannot be compared\n  image_phash = 5\n  ^\n"
        "  → rules can only ask whether it is null; `dedup` compares it"
    ),
    "image_animated > true": (
        "`>` has no meaning between true and false\n  image_animated > true\n                 ^\n"
        "  → use `=`, `<>` or `not`"
    ),
    "text_length@2 > 5": (
        "there is no earlier value of `text_length` from a step `2`\n  text_length@2 > 5\n  ^\n"
        "  → no earlier step changes it: write `text_length`"
    ),
    "image_width_px@crop > 5": (
        "there is no earlier value of `image_width_px` from a step `crop`\n  image_width_px@crop > 5\n  ^\n"
        "  → steps with one: 2"
    ),
    "max(language) > 5": "`max` needs a number, but `language` is a text\n  max(language) > 5\n      ^",
}


@pytest.mark.parametrize("text", ERRORS)
def test_the_error_points_and_helps(text: str) -> None:
    with pytest.raises(RuleError) as error:
        check(parse(text), FIELDS)
    assert str(error.value) == ERRORS[text]


def test_several_items_ask_for_a_quantifier() -> None:
    with pytest.raises(RuleError) as error:
        check(parse("text_length > 5 and image_width_px >= 256", "r.yaml:3"), SEVERAL)
    assert str(error.value) == (
        "r.yaml:3: samples have several image items: say which of them `image_width_px` must hold for\n"
        "  text_length > 5 and image_width_px >= 256\n"
        "                      ^\n"
        "  → any(image_width_px >= 256) or all(image_width_px >= 256)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "image_animated",
        "not image_animated and image_width_px@2 > 5",
        "any(image_sharpness >= 100 and image_width_px >= 512) or items > 2",
        "image_width_px > text_length",
        "image_phash is not null",
        "count(image_animated) * 2 >= items",
        "mean(image_sharpness) >= min(text_length)",
        "any(image_width_px > items)",
        "language in ('en', 'de') and language like 'e%'",
        "(image_width_px > 5) = image_animated",
    ],
)
def test_sound_rules_pass_and_print_as_written(text: str) -> None:
    from sluice.recipe import text_of

    assert text_of(check(parse(text), FIELDS).expr) == text


def test_bare_fields_mean_all() -> None:
    assert check(parse("image_width_px >= 5"), FIELDS) == parse("all(image_width_px >= 5)")
    both = "image_width_px >= 5 and image_sharpness > 1 or text_length > 3"
    assert check(parse(both), FIELDS) == parse(
        "all(image_width_px >= 5 and image_sharpness > 1) or all(text_length > 3)"
    )


def test_drop_items_names_the_modality_it_drops() -> None:
    assert check_items(parse("image_width_px < 5 or image_animated"), SEVERAL)[1] == "image"
    assert check_items(parse("text_length < 5"), SEVERAL)[1] == "text"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("any(image_width_px < 5)", "`drop_items` judges one item at a time: `any(…)` has no place in it"),
        ("items < 5", "`drop_items` has nothing to range over"),
        ("image_width_px < text_length", "`drop_items` ranges over the items of one modality"),
    ],
)
def test_drop_items_refuses_what_is_not_about_one_item(text: str, message: str) -> None:
    with pytest.raises(RuleError) as error:
        check_items(parse(text), FIELDS)
    assert message in str(error.value)
