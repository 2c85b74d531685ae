"""What a document's JSON says: its id, its texts and images by place, and the fields that come along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sluice.errors import ReadError
from sluice.readers.documents import MOST_ITEMS

LISTS = ("texts", "images")
"""The parallel lists of a document, null where the other one stands."""


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """Which of a document's keys mean what."""

    sample_id_field: str = "sample_id"
    per_image_fields: tuple[str, ...] = ()
    per_text_fields: tuple[str, ...] = ()

    def id_of(self, value: Mapping[str, Any], fallback: str) -> str:
        """The document's id; `ReadError` (`null id`) where it names one and says nothing with it."""
        if self.sample_id_field not in value:
            return fallback
        found = value[self.sample_id_field]
        if found is None or found == "":
            raise ReadError("null id", f"`{self.sample_id_field}` is {found!r}")
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise ReadError("id of another type", f"`{self.sample_id_field}` is a {type(found).__name__}")
        return str(found)


@dataclass(frozen=True, slots=True)
class Place:
    """One item of a document: a text, or what its list says of an image; and the item's own fields."""

    text: str | None = None
    image: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lists:
    """A document as its JSON has it: items in order, and the sample's fields."""

    id: str
    places: tuple[Place, ...]
    fields: Mapping[str, Any]


def document_lists(
    value: Mapping[str, Any], fallback_id: str, settings: DocumentSettings, *, names_only: bool = True
) -> Lists:
    """The document in a JSON object. `ReadError` where its lists do not fit each other.

    Both lists set at one index are two items, the text first. With `names_only` an image must be a string.
    """
    identity = settings.id_of(value, fallback_id)
    texts, images = _list(value, "texts"), _list(value, "images")
    if texts is None and images is None:
        raise ReadError("no texts and images", "neither `texts` nor `images` is there")
    texts = [None] * len(images or ()) if texts is None else texts
    images = [None] * len(texts) if images is None else images
    if len(texts) != len(images):
        raise ReadError("lists of unequal length", f"{len(texts)} texts and {len(images)} images")
    if len(texts) > MOST_ITEMS:
        raise ReadError("too many items", f"{len(texts):,}, more than {MOST_ITEMS:,}")
    _check(texts, images, names_only)
    of_images = list(_dealt(value, settings.per_image_fields, sum(i is not None for i in images)))
    of_texts = list(_dealt(value, settings.per_text_fields, sum(t is not None for t in texts)))
    dealt = {*settings.per_image_fields, *settings.per_text_fields, *LISTS, settings.sample_id_field}
    fields = {name: each for name, each in value.items() if name not in dealt}
    return Lists(identity, tuple(_places(texts, images, iter(of_texts), iter(of_images))), fields)


def _list(value: Mapping[str, Any], name: str) -> list[Any] | None:
    found = value.get(name)
    if found is not None and not isinstance(found, list):
        raise ReadError("not a list", f"`{name}` is a {type(found).__name__}")
    return found


def _check(texts: Sequence[Any], images: Sequence[Any], names_only: bool) -> None:
    for k, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise ReadError("text of another type", f"`texts.{k}` is a {type(text).__name__}")
    for k, image in enumerate(images if names_only else ()):
        if image is not None and not isinstance(image, str):
            raise ReadError("image name of another type", f"`images.{k}` is a {type(image).__name__}")


def _dealt(value: Mapping[str, Any], names: Sequence[str], count: int) -> Iterator[dict[str, Any]]:
    """The fields of each of `count` items, from lists with one entry an item."""
    for name in names:
        found = value.get(name)
        if found is not None and (not isinstance(found, list) or len(found) != count):
            shown = len(found) if isinstance(found, list) else f"a {type(found).__name__}"
            raise ReadError("lists of unequal length", f"`{name}` has {shown} for {count} items")
    lists = {name: value[name] for name in names if value.get(name) is not None}
    for k in range(count):
        yield {name: found[k] for name, found in lists.items() if found[k] is not None}


def _places(
    texts: Sequence[str | None],
    images: Sequence[Any],
    of_texts: Iterator[Mapping[str, Any]],
    of_images: Iterator[Mapping[str, Any]],
) -> Iterator[Place]:
    for text, image in zip(texts, images, strict=True):
        if text is not None:
            yield Place(text=text, fields=next(of_texts))
        if image is not None:
            yield Place(image=image, fields=next(of_images))
