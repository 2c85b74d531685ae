"""The conformance suite: what every operator promises, checked for ours and anyone's in the same way.

from sluice.operator import registry
from sluice.operator.check import check

assert check(registry().bind("image_sharpness"), samples) == []
"""

from __future__ import annotations

import ast
import copy
import importlib.metadata
import pickle
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from sluice.errors import SampleError, SluiceError
from sluice.operator.evaluate import Measured, Program
from sluice.operator.instance import Instance
from sluice.operator.mapping import MapperChain
from sluice.operator.spec import ITEM_SCOPES, OVER, Output, Spec
from sluice.operator.splitting import Splitter
from sluice.sample import Item, Media, Note, Sample

DEFINED_BY_STANDARD = frozenset({"numpy", "pyarrow", "pydantic", "xxhash"})
"""Distributions whose results a written standard fixes, so that their versions need not be declared."""


def check(instance: Instance, samples: Sequence[Sample]) -> list[str]:
    """Everything that is wrong with an operator, one sentence each; empty where it conforms.

    `samples` are good ones, several of them, with items of the operator's modality. What many operators show at
    once is checked by `check_together` and `check_spawned`.
    """
    found = [*documented(instance.spec), *libraries_declared(instance)]
    works = {"mapper": maps, "splitter": splits}.get(instance.spec.kind)
    if instance.spec.kind not in ("measure", "mapper", "splitter"):
        return found
    if instance.spec.kind == "splitter" and instance.spec.example:
        samples = [_of_text("example", instance.spec.example), *samples]
    here = Program([instance])(samples)
    rows = _rows(instance, here, len(samples))
    return [
        *found,
        *(works(instance, samples) if works else executes(instance, here)),
        *same_in_any_batch(instance, samples, rows),
        *survives_pickling(instance, samples, rows),
        *leaves_inputs_alone(instance, samples),
        *fails_small(instance, samples, rows),
    ]


def documented(spec: Spec) -> list[str]:
    """The question, the definition, every setting and the meaning of every column are written down."""
    found = []
    if not spec.question.endswith("?") and spec.kind != "feature":
        found.append(f"the module's docstring opens with {spec.question!r}, not with the question it answers")
    if not spec.summary:
        found.append("there is no docstring that defines it")
    for name, field in spec.settings.model_fields.items():
        if not field.description and f"`{name}" not in spec.doc:
            found.append(f"setting `{name}` is not described: name it in the docstring")
    found += [f"the Field of {o.name} does not say what the value means" for o in spec.outputs if _mute(o)]
    return [f"{spec.name}: {sentence}" for sentence in found]


def _mute(output: Output) -> bool:
    field = output.field
    if output.kind == "text":
        return False  # a text has no unit and no direction; the definition says what it holds
    if output.kind == "bool":
        return not field.true_means
    return not (field.unit or field.higher_is)


def libraries_declared(instance: Instance) -> list[str]:
    """Every distribution that the module imports is in `libraries`, its own or those of what it needs."""
    spec = instance.spec
    declared = {name for i in instance.closure() for name in i.spec.libraries}
    known = {_canonical(name) for name in declared} | DEFINED_BY_STANDARD
    own = _distributions().get(spec.module.partition(".")[0], [])
    found = []
    for module in sorted(_imported(spec)):
        owners = [name for name in _distributions().get(module, []) if name not in own]
        if owners and not any(_canonical(name) in known for name in owners):
            found.append(f"{spec.name}: imports {module} but does not declare libraries=({owners[0]!r},)")
    return found


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def _imported(spec: Spec) -> set[str]:
    file = getattr(sys.modules.get(spec.module), "__file__", None)
    if file is None:
        return set()
    names: set[str] = set()
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "imported":
            first = node.args[:1]  # as `operator.extra` imports
            names |= {a.value for a in first if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {name.partition(".")[0] for name in names} - {"sluice"} - sys.stdlib_module_names


def executes(instance: Instance, measured: Measured) -> list[str]:
    """It gives a value for some sample, within the declared range; for the declared example first of all."""
    spec = instance.spec
    if spec.example:
        measured = Program([instance])([_of_text("example", spec.example)])
    found = []
    for output in instance.outputs:
        values = [v for v in _flat(measured.columns[output.name]) if v is not None]
        if not values:
            found.append(f"{spec.name}: no value of {output.name} for any of {len(measured.notes)} examples")
        low, high = output.field.ge, output.field.le
        for value in values:
            if (low is not None and value < low) or (high is not None and value > high):
                found.append(f"{spec.name}: {output.name} = {value} lies outside {low} to {high}")
    return found


def maps(instance: Instance, samples: Sequence[Sample]) -> list[str]:
    """A mapper gives a new version of every good sample's items; those of images can be decoded."""
    from sluice.codec import decode

    name, scope = instance.spec.name, instance.spec.scope
    found = []
    for sample, mapped in zip(samples, MapperChain([instance])(samples), strict=True):
        found += [f"{name}: {note.reason} on {sample.key!r}" for note in mapped.notes]
        for _, item in mapped.of(scope):
            if scope == "image" and item.media is not None:
                try:
                    decode(item.media.read())
                except SampleError as error:
                    found.append(f"{name}: its new version of {sample.key!r} cannot be decoded: {error}")
    return found


def splits(instance: Instance, samples: Sequence[Sample]) -> list[str]:
    """A splitter makes children of some good sample, the same every time, and breaks on none."""
    name, split = instance.spec.name, Splitter(instance)
    families = [split(sample) for sample in samples]
    found = [
        f"{name}: {family.note.reason} on {family.parent.key!r}"
        for family in families
        if family.note is not None and family.note.kind != "declined"
    ]
    if not any(family.children for family in families):
        found.append(f"{name}: no children of any of {len(samples)} examples")
    if [split(sample) for sample in samples] != families:
        found.append(f"{name}: splits the same sample in different ways")
    return found


def same_in_any_batch(instance: Instance, samples: Sequence[Sample], together: list[list[Any]]) -> list[str]:
    """Each sample alone, and all in another order, give the values that all `together` gave."""
    program = Program([instance])
    alone = [_rows(instance, program([sample]), 1)[0] for sample in samples]
    order = list(range(len(samples)))
    random.Random(0).shuffle(order)
    shuffled = _rows(instance, program([samples[k] for k in order]), len(samples))
    found = _differences(instance, samples, together, alone, "a sample alone differs from it in a batch")
    at = [together[k] for k in order]
    return found + _differences(
        instance, [samples[k] for k in order], at, shuffled, "the order of the batch matters"
    )


def survives_pickling(instance: Instance, samples: Sequence[Sample], here: list[list[Any]]) -> list[str]:
    """Sent to another process, it is the same operator with the values that it gave `here`."""
    try:
        arrived: Instance = pickle.loads(pickle.dumps(instance))  # noqa: S301 - what was just pickled here
    except Exception as error:  # noqa: BLE001 - whatever is raised is the finding
        return [f"{instance.spec.name}: cannot be pickled: {error}; declare it at the top of a module"]
    if arrived.fingerprint != instance.fingerprint:
        return [f"{instance.spec.name}: its fingerprint changes on the way to another process"]
    there = _rows(instance, Program([arrived])(samples), len(samples))
    return _differences(instance, samples, here, there, "it changes on the way to another process")


def leaves_inputs_alone(instance: Instance, samples: Sequence[Sample]) -> list[str]:
    """What it is given (pixels that other operators share) is the same after the call."""
    changed: set[str] = set()
    program = Program([instance]).open()
    for step in program.steps:
        if step.instance is instance and step.call is not None:
            step.call = _watched(step.call, [n.name for n in instance.spec.needs], changed)
    program(samples)
    return [f"{instance.spec.name}: changes its input `{name}`; copy it first" for name in sorted(changed)]


def _watched(call: Callable[..., Any], names: Sequence[str], changed: set[str]) -> Callable[..., Any]:
    def watched(*inputs: Any, **settings: Any) -> Any:
        before = [copy.deepcopy(value) if _mutable(value) else None for value in inputs]
        result = call(*inputs, **settings)
        for name, old, value in zip(names, before, inputs, strict=True):
            if _mutable(value) and not _same(old, value):
                changed.add(name)
        return result

    return watched


def _mutable(value: Any) -> bool:
    return isinstance(value, np.ndarray | list | dict | bytearray)


def fails_small(instance: Instance, samples: Sequence[Sample], whole: list[list[Any]]) -> list[str]:
    """Bad input gives nulls with a reason, raises nothing, and leaves the good sample beside it as it was."""
    good = list(samples[:1])
    bad = list(bad_samples(instance, samples))
    try:
        measured = Program([instance])([*good, *bad])
    except Exception as error:  # noqa: BLE001 - whatever is raised is the finding
        return [f"{instance.spec.name}: bad input ended the run: {error!r}"]
    rows = _rows(instance, measured, len(good) + len(bad))
    found = _differences(instance, good, whole[:1], rows[:1], "bad samples beside it change it")
    for k, sample in enumerate(bad, start=len(good)):
        found += _unexplained(instance, sample, rows[k], measured.notes[k])
    return found


def _unexplained(instance: Instance, sample: Sample, row: list[Any], notes: list[Note]) -> Iterator[str]:
    for note in notes:
        if note.kind == "error":
            yield (
                f"{instance.spec.name}: raised on {sample.key} ({note.reason}: {note.detail}); "
                "raise Declined or UnreadableError with a reason instead"
            )
        if not note.reason:
            yield f"{instance.spec.name}: gives no reason on {sample.key}"
    if any(value is None for value in _flat(row)) and not notes:
        yield f"{instance.spec.name}: null without a reason on {sample.key}"


def bad_samples(instance: Instance, samples: Sequence[Sample]) -> Iterator[Sample]:
    """Samples whose items are empty, cut short, noise or missing, as the operator's scope takes them.

    Of a pair one half at a time is bad, or missing.
    """
    scope = OVER[instance.over].like if instance.over else instance.scope
    if scope in ITEM_SCOPES:
        if instance.over:
            yield Sample(id="no items", key="no items")
        for key, item in _bad_items(scope, samples):
            yield Sample(id=key, key=key, items=(item,))
        return
    yield Sample(id="no items", key="no items")
    if scope == "pair":
        text, image = (
            Item("text", text="A picture."),
            _item("image", Media(data=_first_bytes("image", samples))),
        )
        yield Sample(id="no text", key="no text", items=(image,))
        yield Sample(id="no image", key="no image", items=(text,))
        for key, item in _bad_items("image", samples):
            yield Sample(id=key, key=key, items=(item, text))
        for key, item in _bad_items("text", samples):
            yield Sample(id=f"{key} of text", key=f"{key} of text", items=(image, item))


def _bad_items(scope: str, samples: Sequence[Sample]) -> Iterator[tuple[str, Item]]:
    if scope == "text":
        for key, text in (("empty text", ""), ("blank text", " \n\t"), ("odd text", "\x00\u202e\U0001f600")):
            yield key, Item("text", text=text)
        yield "not UTF-8", _item("text", Media(data=b"\xff\xfe\xfa"))
    else:
        whole = _first_bytes(scope, samples)
        for key, data in (
            ("empty bytes", b""),
            ("one byte", b"\xff"),
            ("random bytes", random.Random(0).randbytes(4096)),
            ("cut in the head", whole[:30]),
            ("cut in the middle", whole[: len(whole) // 2]),
        ):
            yield key, _item(scope, Media(data=data))
    yield "no media", _item(scope, None)
    yield "gone", _item(scope, Media(uri="/nonexistent/gone", size=9))


def check_together(instances: Sequence[Instance], samples: Sequence[Sample]) -> list[str]:
    """Operators that run beside each other give the values that each gives alone; of one column, the first runs."""
    company: list[Instance] = []
    for instance in instances:
        if not any(set(instance.made) & set(other.made) for other in company):
            company.append(instance)
    beside = Program(company)(samples)
    found = []
    for instance in company:
        alone = _rows(instance, Program([instance])(samples), len(samples))
        rows = _rows(instance, beside, len(samples))
        found += _differences(instance, samples, alone, rows, "other operators change it")
    return found


def check_spawned(instances: Sequence[Instance], samples: Sequence[Sample]) -> list[str]:
    """A process started afresh gives the values that this one gives; all operators in one go."""
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure_and_send, args=(list(instances), list(samples), theirs))
    process.start()
    theirs.close()
    try:
        arrived: Measured | str = ours.recv()
    except EOFError:
        arrived = "the process died"
    finally:
        process.join()
        ours.close()
    if isinstance(arrived, str):
        return [f"a spawned process cannot run these operators: {arrived}"]
    here, count = Program(instances)(samples), len(samples)
    found = []
    for instance in instances:
        pair = _rows(instance, here, count), _rows(instance, arrived, count)
        found += _differences(instance, samples, *pair, "a spawned process gives another value")
    return found


def _measure_and_send(instances: Sequence[Instance], samples: Sequence[Sample], pipe: Any) -> None:
    try:
        pipe.send(Program(instances)(samples))
    except SluiceError as error:
        pipe.send(str(error))


def _rows(instance: Instance, measured: Measured, count: int) -> list[list[Any]]:
    """For each sample the entries of the operator's columns."""
    return [[measured.columns[name][k] for name in instance.made] for k in range(count)]


def _differences(
    instance: Instance, samples: Sequence[Sample], first: list[list[Any]], second: list[list[Any]], what: str
) -> list[str]:
    for sample, a, b in zip(samples, first, second, strict=True):
        if not _same(a, b):
            return [f"{instance.spec.name}: {what}: {a!r:.80} against {b!r:.80} for sample {sample.key!r}"]
    return []


def _same(a: Any, b: Any) -> bool:
    """Equal to the last bit and of one type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _first_bytes(scope: str, samples: Sequence[Sample]) -> bytes:
    found = (item.media for sample in samples for _, item in sample.of(scope))
    return next((media.read() for media in found if media is not None), b"")


def _item(scope: str, media: Media | None) -> Item:
    return replace(Item("other"), modality=scope, media=media)  # type: ignore[arg-type]


def _of_text(key: str, text: str) -> Sample:
    return Sample(id=key, key=key, items=(Item("text", text=text),))
