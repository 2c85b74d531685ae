"""Turns a Data-Juicer recipe into ours: the same operators and bounds, and a list of what could not be carried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from sluice.errors import RecipeError
from sluice.recipe.carry_steps import Carry, carry_deduplicator, carry_selector
from sluice.recipe.yaml_text import Document, Dumper, read_yaml

_FORMATS = {".jsonl": "jsonl", ".json": "jsonl", ".parquet": "parquet", ".tar": "webdataset"}


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Translated(_Entry):
    """A setting of theirs that becomes one of ours, with its default there and how its values translate.

    A `single` one is a list there too: one of one value is that, more are left behind.
    """

    to: str
    default: Any = None
    values: dict[Any, Any] = {}
    single: bool = False


class FilterEntry(_Entry):
    """One filter of `data_juicer.yaml`; that file's head explains the keys."""

    fields: dict[str, dict[Literal["min", "max"], tuple[str | None, Any]]]
    operator: str | None = None
    frames: Literal["all_keyframes", "uniform"] | None = None
    scale: float = 1
    items: Literal["any", "all"] | None = None
    reduce: Literal["avg", "max", "min"] | None = None
    entities: str | None = None
    settings: dict[str, Translated] = {}
    features: dict[str, dict[str, Translated]] = {}
    fixed: dict[str, Any] = {}
    equals: dict[str, str] = {}
    field_key: str | None = None
    renamed: dict[str, str] = {}
    signed: bool = False
    same: tuple[str, ...] = ()
    only: dict[str, Any] = {}
    note: str = ""
    stat: tuple[str, ...] = ()


class MapperEntry(_Entry):
    """One mapper of `data_juicer.yaml`."""

    operator: str
    settings: dict[str, str] = {}
    same: tuple[str, ...] = ()
    note: str = ""


class SplitterEntry(_Entry):
    """One mapper of `data_juicer.yaml` that cuts videos."""

    operator: str
    fixed: dict[str, Any] = {}
    settings: dict[str, Translated] = {}
    originals: bool = False
    same: tuple[str, ...] = ()
    note: str = ""


class Catalogue(_Entry):
    """All of `data_juicer.yaml`."""

    filters: dict[str, FilterEntry]
    mappers: dict[str, MapperEntry]
    splitters: dict[str, SplitterEntry]
    instead: dict[str, str]
    running: frozenset[str]


@dataclass
class CarriedOver:
    """A recipe carried over: its YAML, how many operators it holds, and what was left behind or differs.

    `left` and `differs` are sentences that begin with the line of the recipe they speak of.
    """

    text: str = ""
    carried: int = 0
    left: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)


@cache
def catalogue() -> Catalogue:
    """What we know of Data-Juicer's operators."""
    text = (files("sluice.recipe") / "data_juicer.yaml").read_text(encoding="utf-8")
    return Catalogue.model_validate(yaml.safe_load(text))


def from_data_juicer(
    text: str, file: str = "", *, source: str | None = None, output: str | None = None
) -> CarriedOver:
    """Our recipe for a Data-Juicer recipe (its YAML); RecipeError where it is none.

    `source` and `output` stand in the place of its own paths.

    Filters become `keep` rules with the same closed bounds, and a sample without any image passes a rule about
    images, as it does there. Mappers go before all rules, since here rules see one version of a sample.
    """
    document = read_yaml(text, file)
    data = document.data
    if not isinstance(data, dict) or not isinstance(data.get("process"), list):
        fix = "give the YAML that Data-Juicer runs: it has a list `process`"
        raise RecipeError("this is no Data-Juicer recipe", where=file, fix=fix)
    found = CarriedOver()
    carry = Carry()
    for number, entry in enumerate(data["process"]):
        line = document.line(("process", number))
        name, settings = _operator(entry)
        try:
            known = _carry(carry, name, settings)
        except (TypeError, ValueError, KeyError, ArithmeticError) as error:
            what = f"the settings of `{name}` are not as Data-Juicer takes them: {error}"
            raise RecipeError(what, where=f"{file}:{line}", fix="see its settings there") from error
        found.carried += known
        if not known:
            hint = catalogue().instead.get(name)
            nearest = f": {hint}" if hint else ""
            found.left.append(f"line {line}: `{name}` has no counterpart here{nearest}")
        found.left += [f"line {line}: `{name}`: {what}" for what in carry.told("left")]
        found.differs += [f"line {line}: `{name}`: {what}" for what in carry.told("differs")]
    read, write = _source(data, document, found), _write(data)
    read |= {"path": source} if source else {}
    write |= {"path": output} if output else {}
    write |= {"format": "clips"} if carry.splits else {}
    head = _head(file, found)
    found.text = head + _yaml({"source": read}) + "\n" + carry.text() + "\n" + _yaml({"write": write})
    return found


def _operator(entry: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict) and len(entry) == 1:
        ((name, settings),) = entry.items()
        return str(name), dict(settings) if isinstance(settings, dict) else {}
    return repr(entry)[:60], {}


def _carry(carry: Carry, name: str, settings: dict[str, Any]) -> bool:
    known = catalogue()
    for each in ("memory", "num_proc", "cpu_required", "mem_required", "accelerator", "batch_size", "np"):
        settings.pop(each, None)  # how it runs there
    settings.pop("trust_remote_code", None)  # no model's own code ever runs here
    if name in known.filters:
        carry_filter(carry, name, known.filters[name], settings)
        return True
    if name in known.mappers:
        _carry_mapper(carry, name, known.mappers[name], settings)
        return True
    if name in known.splitters:
        _carry_splitter(carry, known.splitters[name], settings)
        return True
    plain = name.removeprefix("ray_").removesuffix("_with_uid")
    return carry_deduplicator(carry, plain, settings) or carry_selector(carry, plain, settings, _field_of)


def carry_filter(carry: Carry, name: str, entry: FilterEntry, settings: dict[str, Any]) -> None:
    """Add the rule of one filter and, where it has settings, the measure they belong to."""
    field_name = next(iter(entry.fields))
    for old, new in entry.renamed.items():
        if old in settings:
            settings.setdefault(new, settings.pop(old))
    ours = entry.fixed | _translated(carry, entry.settings, settings)
    if entry.frames is not None:
        ours |= _frames(entry.frames, settings)
    of_features = {
        feature: {to.to: settings.pop(theirs, to.default) for theirs, to in each.items()}
        for feature, each in entry.features.items()
    }
    if entry.field_key is not None:
        ours["field"] = str(settings.pop(entry.field_key, "")).removeprefix("meta.")
    column = carry.measure(entry.operator or field_name, ours, of_features, field_name)
    bounds = _bounds(entry, settings, {field_name: column})
    if entry.note:
        carry.tell("differs", entry.note)
    for theirs, only in entry.only.items():
        value = settings.pop(theirs, only)
        if value != only:
            carry.tell("left", f"`{theirs}: {value}` (only {only} is known here)")
    for theirs in entry.same:
        settings.pop(theirs, None)
    rule, nulls = _rule(entry, bounds, settings)
    if rule:
        carry.keep(rule, nulls, name)
    for theirs in settings:
        carry.tell("left", f"the setting `{theirs}` is not known here")


def _translated(carry: Carry, known: Mapping[str, Translated], settings: dict[str, Any]) -> dict[str, Any]:
    """Our settings for theirs, which are taken out."""
    ours = {}
    for theirs, to in known.items():
        value = settings.pop(theirs, to.default)
        if to.single and isinstance(value, list | tuple):
            if len(value) > 1:
                carry.tell("left", f"`{theirs}: {list(value)}` (one number is known here)")
            value = value[0] if len(value) == 1 else None
        if value is not None:
            ours[to.to] = to.values.get(value, value)
    return ours


def _frames(default: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Which frames of a video are looked at."""
    method, number = settings.pop("frame_sampling_method", default), settings.pop("frame_num", 3)
    if method not in ("all_keyframes", "uniform"):
        raise ValueError(f"`frame_sampling_method: {method}`")
    return {"frames": number} if method == "uniform" else {"keyframes": True}


def _bounds(
    entry: FilterEntry, settings: dict[str, Any], names: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Field, comparison and number of each bound, and texts that must be equal."""
    found = []
    for name, sides in entry.fields.items():
        for side, sign in (("min", ">="), ("max", "<=")):
            theirs, default = sides[side]  # type: ignore[index]
            value = settings.pop(theirs, default) if theirs else default
            number = _number(value)
            says_nothing = sign == ">=" and number == 0 and not entry.signed
            if number is not None and abs(number) < 2**53 and not says_nothing:
                found.append((names.get(name, name), sign, _written(number, entry.scale)))
    for name, theirs in entry.equals.items():
        value = settings.pop(theirs, "")
        options = [value] if isinstance(value, str) else list(value or [])
        listed = ", ".join(f"'{each}'" for each in options if each)
        if listed:
            found.insert(0, (name, "in", f"({listed})"))
    return found


def _written(number: float, scale: float) -> str:
    """A bound as a rule writes it, exactly; a scaled one without the noise of the product's last digit."""
    exact = number if scale == 1 else float(f"{number * scale:.15g}")
    return repr(int(exact) if exact == int(exact) else exact)


_REDUCTIONS = {"avg": "mean", "max": "max", "min": "min"}


def _rule(
    entry: FilterEntry, bounds: Iterable[tuple[str, str, str]], settings: dict[str, Any]
) -> tuple[str, str]:
    """The rule, and what it does with samples of which nothing is judged."""
    quantifier = settings.pop("any_or_all", entry.items or entry.entities or "any")
    if quantifier not in ("any", "all"):
        raise ValueError(f"`any_or_all: {quantifier}`")
    if entry.reduce is not None:
        mode = settings.pop("reduce_mode", entry.reduce)
        if mode not in _REDUCTIONS:
            raise ValueError(f"`reduce_mode: {mode}`")
        how = _REDUCTIONS[mode]
        return " and ".join(f"{how}({name}) {sign} {value}" for name, sign, value in bounds), "keep"
    terms = " and ".join(f"{name} {sign} {value}" for name, sign, value in bounds)
    if entry.items is not None and terms:
        return f"{quantifier}({terms})", "keep"
    if entry.entities is not None and terms:
        return terms.replace("_count ", f"_count_{'min' if quantifier == 'all' else 'max'} "), "drop"
    return terms, "drop"


_SIZES = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40, "pb": 1 << 50}


def _number(value: Any) -> float | None:
    """A bound as a number; sizes are written `10KB` there, in powers of 1024, ratios `9/21` or `9:21`.

    None for none; ValueError for what is no number.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if value != value:
            raise ValueError("a bound that is not a number")
        return value
    text = str(value).strip().lower().replace("ib", "b")
    head = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(head) :].strip().replace("bytes", "b").replace("byte", "b")
    try:
        over, slash, under = head.replace(":", "/").partition("/")
        number = float(over) / float(under) if slash else float(head)
        return number * _SIZES[unit]
    except (ValueError, KeyError, ZeroDivisionError):
        raise ValueError(f"the bound {value!r}") from None


def _carry_mapper(carry: Carry, name: str, entry: MapperEntry, settings: dict[str, Any]) -> None:
    ours = {to: settings.pop(theirs) for theirs, to in entry.settings.items() if settings.get(theirs)}
    carry.map(entry.operator, ours)
    if carry.has_rules:
        carry.tell("differs", "moved before all rules, which see its new version now")
    if entry.note:
        carry.tell("differs", entry.note)
    for theirs in (s for s in settings if s not in entry.same and s not in entry.settings):
        carry.tell("left", f"the setting `{theirs}: {settings[theirs]}`")


def _carry_splitter(carry: Carry, entry: SplitterEntry, settings: dict[str, Any]) -> None:
    if carry.splits:
        carry.tell("left", "a second cut (samples are split once here: write the clips, and split those)")
        return
    carry.split(entry.operator, entry.fixed | _translated(carry, entry.settings, settings))
    carry.tell("differs", "each clip is a sample of its own here, and is written as one")
    if carry.has_rules:
        carry.tell("differs", "moved before all rules, which judge clips now")
    if entry.note:
        carry.tell("differs", entry.note)
    if settings.pop("keep_original_sample", entry.originals):
        carry.tell("left", "`keep_original_sample: true` (only clips go on here)")
    for theirs in (s for s in settings if s not in entry.same):
        carry.tell("left", f"the setting `{theirs}: {settings[theirs]}`")


def _field_of(key: str) -> str | None:
    """Our field for a field key of theirs (`__dj__stats__.text_len`); None where there is none."""
    stat = str(key).rpartition(".")[2]
    for entry in catalogue().filters.values():
        for name, (field_name) in zip(entry.stat, [*entry.fields, *entry.fields], strict=False):
            if stat == name:
                return field_name
    return None


def _source(data: dict[str, Any], document: Document, found: CarriedOver) -> dict[str, Any]:
    path = data.get("dataset_path")
    configs = (data.get("dataset") or {}).get("configs") or []
    if not path and configs:
        path = configs[0].get("path")
        if len(configs) > 1:
            line = document.line(("dataset", "configs", 1))
            found.left.append(
                f"line {line}: further data sets: run them one by one, or put them in one folder"
            )
    for key in data:
        known = {"process", "dataset_path", "dataset", "export_path", "export_type", "text_keys", "suffixes"}
        if key not in known | catalogue().running:
            found.left.append(f"line {document.line((key,))}: `{key}` is not known here")
    source: dict[str, Any] = {"path": str(path or "data/")}
    keys = data.get("text_keys")
    text = keys[0] if isinstance(keys, list) and keys else keys
    if text and text != "text":
        source["columns"] = {"text": str(text)}
    return source


def _write(data: dict[str, Any]) -> dict[str, Any]:
    path = PurePosixPath(str(data.get("export_path") or "curated"))
    kind = {"wds": "webdataset", "webdataset": "webdataset"}.get(str(data.get("export_type")))
    shape = kind or _FORMATS.get(path.suffix, "jsonl")
    return {"path": str(path.with_suffix("")) if path.suffix in _FORMATS else str(path), "format": shape}


def _head(file: str, found: CarriedOver) -> str:
    lines = [f"# Carried over from the Data-Juicer recipe {PurePosixPath(file).name or 'given'}."]
    for title, notes in (("Not carried over:", found.left), ("Not quite the same:", found.differs)):
        lines += [f"# {title}", *(f"#   {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n\n"


def _yaml(data: Any) -> str:
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)
