"""Gathers the steps of a recipe that is carried over from another tool, in our order, and writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from sluice.recipe.yaml_text import Dumper


class Carry:
    """Steps as they come: splitters and mappers first of all, then the rest, each with the name it had."""

    def __init__(self) -> None:
        self._splits: list[dict[str, Any]] = []
        self._mappers: list[dict[str, Any]] = []
        self._steps: list[tuple[str, dict[str, Any]]] = []
        self._settings: dict[str, Any] = {}
        self._told: list[tuple[str, str]] = []

    @property
    def has_rules(self) -> bool:
        """Whether anything but splitters and mappers was added so far."""
        return bool(self._steps)

    @property
    def splits(self) -> bool:
        """Whether samples are split."""
        return bool(self._splits)

    def split(self, operator: str, settings: Mapping[str, Any]) -> None:
        """Add a splitter."""
        self._splits.append({"split": {operator: dict(settings)}})

    def map(self, operator: str, settings: Mapping[str, Any]) -> None:
        """Add a mapper."""
        self._mappers.append({"map": {operator: dict(settings)} if settings else operator})

    def measure(
        self, operator: str, settings: Mapping[str, Any], with_: Mapping[str, Any], column: str = ""
    ) -> str:
        """Add a measure where it needs settings; the name of its column (a second one with others gets a number)."""
        wanted = {**settings, **({"with": dict(with_)} if with_ else {})}
        name, number = column or operator, 1
        while name in self._settings and self._settings[name] != wanted:
            number += 1
            name = f"{column or operator}_{number}"
        if name not in self._settings:
            self._settings[name] = wanted
            under = {**wanted, "as": name} if name != operator else wanted
            if under:
                self._steps.append(("", {"measure": {operator: under}}))
        return name

    def keep(self, rule: str, nulls: str, name: str) -> None:
        """Add a rule."""
        more = {"nulls": nulls} if nulls != "drop" else {}
        self.add({"keep": {"rule": rule, **more, "name": name}})

    def add(self, step: Mapping[str, Any]) -> None:
        """Add any other step."""
        self._steps.append(("", dict(step)))

    def tell(self, kind: str, what: str) -> None:
        """Note what is `left` behind or `differs` of the operator under way."""
        self._told.append((kind, what))

    def told(self, kind: str) -> list[str]:
        """The notes of a kind so far, once."""
        found = [what for each, what in self._told if each == kind]
        self._told = [note for note in self._told if note[0] != kind]
        return found

    def text(self) -> str:
        """The `steps` of the recipe as YAML."""
        steps = [*self._splits, *self._mappers, *(step for _, step in self._steps)]
        return yaml.dump({"steps": steps}, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


def carry_deduplicator(carry: Carry, name: str, settings: dict[str, Any]) -> bool:
    """Add the `dedup` step of one of their deduplicators; False where it has no counterpart."""
    if name in ("document_deduplicator", "document_basic_deduplicator"):
        ours = {"lowercase": settings.pop("lowercase", False)}
        ours["letters_only"] = settings.pop("ignore_non_character", False)
        column = carry.measure("text_content_hash", ours if any(ours.values()) else {}, {})
        carry.add({"dedup": {"by": column, "name": name}})
    elif name.startswith("document_minhash_deduplicator"):
        _carry_minhash(carry, name, settings)
    elif name in ("image_deduplicator", "image_basic_deduplicator"):
        method = settings.pop("method", "phash")
        if method not in ("phash", "dhash"):
            return False
        carry.add({"dedup": {"by": f"image_{method}", "distance": 0, "name": name}})
        if settings.pop("consider_text", False):
            carry.tell("left", "`consider_text: true` (pictures alone are compared)")
    elif name in ("video_deduplicator", "video_basic_deduplicator"):
        carry.add({"dedup": {"by": "video_content_hash", "name": name}})
        carry.tell("differs", "files are compared here, there only what their video streams hold")
        if settings.pop("consider_text", False):
            carry.tell("left", "`consider_text: true` (videos alone are compared)")
    else:
        return False
    _refuse_rest(carry, settings)
    return True


def _carry_minhash(carry: Carry, name: str, settings: dict[str, Any]) -> None:
    tokenization = settings.pop("tokenization", "space")
    if tokenization not in ("space", "character"):
        carry.tell("left", f"`tokenization: {tokenization}` (words are taken instead)")
    permutations = settings.pop("num_permutations", 256)
    ours = {
        "unit": "characters" if tokenization == "character" else "words",
        "size": settings.pop("window_size", 5),
        "permutations": min(max(permutations, 128), 256),
    }
    if permutations != ours["permutations"]:
        carry.tell("differs", f"{ours['permutations']} permutations instead of {permutations}")
    if not settings.pop("lowercase", True):
        ours["lowercase"] = False
    for theirs in ("num_bands", "num_rows_per_band", "tokenizer_model"):
        settings.pop(theirs, None)  # ours follow from the threshold
    if settings.pop("ignore_pattern", None):
        carry.tell("left", "`ignore_pattern`")
    column = carry.measure("text_minhash", ours, {})
    threshold = settings.pop("jaccard_threshold", 0.7)
    carry.add({"dedup": {"by": column, "similarity": threshold, "semantics": "components", "name": name}})
    carry.tell(
        "differs", "near pairs are verified by their true similarity here, so fewer are taken for near"
    )


def carry_selector(
    carry: Carry, name: str, settings: dict[str, Any], field_of: Callable[[str], str | None]
) -> bool:
    """Add the step of one of their selectors; `field_of` translates field keys. False without a counterpart."""
    if name == "random_selector":
        part = {"fraction": settings.pop("select_ratio", None), "count": settings.pop("select_num", None)}
        given = {key: value for key, value in part.items() if value is not None}
        if not given:
            return False
        # With both there, the smaller part is taken; which one that is depends on the data.
        carry.add({"sample": dict([next(iter(given.items()))])})
        if len(given) == 2:
            carry.tell("left", f"`select_num: {given['count']}` beside a ratio")
    elif name == "topk_specified_field_selector":
        key = str(settings.pop("field_key", ""))
        by = field_of(key)
        part = {"fraction": settings.pop("top_ratio", None), "count": settings.pop("topk", None)}
        given = {name: value for name, value in part.items() if value is not None}
        if by is None or not given:
            return False
        order = "desc" if settings.pop("reverse", True) else "asc"
        carry.add({"top": {"by": by, **dict([next(iter(given.items()))]), "order": order}})
        if len(given) == 2:
            carry.tell("left", f"`topk: {given['count']}` beside a ratio")
    else:
        return False
    _refuse_rest(carry, settings)
    return True


def _refuse_rest(carry: Carry, settings: Mapping[str, Any]) -> None:
    for theirs in settings:
        carry.tell("left", f"the setting `{theirs}` is not known here")
