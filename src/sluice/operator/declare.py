"""The decorators by which a function or small class becomes an operator; they read its annotations."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar, Unpack

import numpy as np
from pydantic import Field as Described
from pydantic.fields import FieldInfo

from sluice.operator.frames import FRAME_SETTINGS, Frames
from sluice.operator.spec import PAIR_SCOPES, Cost, Field, Kind, Need, Output, Sees, Spec, ValueKind

Declared = TypeVar("Declared", bound=Callable[..., Any])

SCOPES = {
    "image_text": "pair",
    "video_frames_text": "video_pair",
    "phrase": "pair",
    "image": "image",
    "text": "text",
    "video": "video",
    "audio": "audio",
    "frame": "frame",
    "sample": "sample",
}
"""The scope of an operator by the first words of its name, longest first."""


PAIRING: dict[str, Any] = {
    "pair": (
        Literal["nearest", "any", "all"],
        Described(
            "nearest",
            description="the text nearest to the item; or, of all, the highest or the lowest value",
        ),
    )
}
"""The setting that every operator on pairs has besides its own: with which texts an image or video is paired."""


class DeclarationError(TypeError):
    """An operator's declaration cannot be understood; names the operator and what to change."""


def measure(
    *, version: int, cost: Cost, scope: str | None = None, libraries: tuple[str, ...] = (), example: str = ""
) -> Callable[[Declared], Declared]:
    """Declare a measure: a function from features to a stored column.

    `version` is raised when the meaning of the value changes; `cost` says what must be done to the bytes
    first; `scope` defaults to what the name's first word says (`image_…`). `example` is an input for the
    documentation and the conformance suite (a text; images need none).
    """
    return _decorator("measure", version, cost, scope, libraries, example)


def feature(
    *, scope: str, version: int, cost: Cost, libraries: tuple[str, ...] = (), batched: bool = False
) -> Callable[[Declared], Declared]:
    """Declare a feature: an intermediate that operators of `scope` name as a parameter and share.

    Its value may depend on the item's bytes and its own settings alone. `libraries` name the distributions
    whose versions can change the value. `batched` says that it takes lists, one entry an item, and returns
    one (the value of one item may be a list itself, so the annotations cannot tell).
    """

    def declare(target: Declared) -> Declared:
        return _attach(target, "feature", version, cost, scope, libraries, "", "", batched)

    return declare


def track(
    *, version: int, sees: Sees, motion_vectors: bool = False, libraries: tuple[str, ...] = ()
) -> Callable[[Declared], Declared]:
    """Declare a track: a class that sees one source video once, in order, and makes a row of values now and then.

    `sees` says what its `__call__` is given: `grid` the frames at fixed times of the source (as many a second as its
    setting `fps` says, from 0 on: for each such time the first frame that is not earlier, a frame once), `frames`
    every frame, `audio` blocks of sound of equal length. It returns one row (a NamedTuple), or None for none. `start`
    tells it of a new source; `end`, where there is one, gives at the source's end the rows that had to wait for later
    frames, each with its time: `(seconds, row)`, ascending, none before a row given already. `open`, where there is
    one, is called of one of them before any source is decoded: what it misses ends the run. Operators of scope `video`
    take it by its name, as a `Span`.
    """

    def declare(target: Declared) -> Declared:
        _attach(target, "track", version, "decode", "video", ("av", *libraries), "", "")
        given = {"needs": (Need("media", None),), "sees": sees, "motion_vectors": motion_vectors}
        target.spec = replace(target.spec, **given)  # type: ignore[attr-defined]
        return target

    return declare


def mapper(
    *, version: int, cost: Cost = "decode", scope: str | None = None, libraries: tuple[str, ...] = ()
) -> Callable[[Declared], Declared]:
    """Declare a mapper: from one item to its new version (`bytes`, `str` or an `Item`)."""
    return _decorator("mapper", version, cost, scope, libraries, "")


def splitter(
    *, version: int, cost: Cost = "header", libraries: tuple[str, ...] = (), example: str = ""
) -> Callable[[Declared], Declared]:
    """Declare a splitter: from one sample to an iterable of samples, its children.

    Children are made of the parent with `replace` (other items, other fields); key and parent are given to
    them afterwards, and an id where they have the parent's. Views stay views: bytes need not be read to be cut.
    `example` is a text that it splits, for the conformance suite.
    """
    return _decorator("splitter", version, cost, "sample", libraries, example)


def deduplicator(*, version: int, by: str, libraries: tuple[str, ...] = ()) -> Callable[[Declared], Declared]:
    """Declare a deduplicator: from one column to verified pairs.

    `by` is the kind of column it compares: `hash` (equal values), `bits` (Hamming distance), `vector`
    (cosine similarity) or `binary` (sketches of sets, Jaccard similarity).
    """

    def declare(target: Declared) -> Declared:
        return _attach(target, "deduplicator", version, "header", "columns", libraries, "", by)

    return declare


def _decorator(
    kind: Kind, version: int, cost: Cost, scope: str | None, libraries: tuple[str, ...], example: str
) -> Callable[[Declared], Declared]:
    def declare(target: Declared) -> Declared:
        return _attach(target, kind, version, cost, scope, libraries, example, "")

    return declare


def _attach(
    target: Declared,
    kind: Kind,
    version: int,
    cost: Cost,
    scope: str | None,
    libraries: tuple[str, ...],
    example: str,
    by: str,
    batched: bool = False,
) -> Declared:
    name = target.__name__
    call = target.__call__ if isinstance(target, type) else target
    hints = _hints(name, call)
    outputs: tuple[Output, ...] = ()
    if kind in ("measure", "track"):
        outputs, batched = _outputs(name, hints.get("return"))
    scope, needs = scope or _scope_of(name), _needs(call, hints)
    more = dict(PAIRING) if scope in PAIR_SCOPES else {}
    if any(need.marked(Frames) for need in needs):
        more |= FRAME_SETTINGS
    spec = Spec(
        name=name,
        kind=kind,
        scope=scope,
        version=version,
        cost=cost,
        needs=needs,
        parameters=_parameters(name, target, more),
        outputs=outputs,
        target=target,
        doc=inspect.getdoc(target) or "",
        question=_question(target),
        returns=hints.get("return"),
        batched=batched,
        libraries=libraries,
        example=example,
        by=by,
    )
    target.spec = spec  # type: ignore[attr-defined]
    return target


def _scope_of(name: str) -> str:
    for prefix, scope in SCOPES.items():
        if name == prefix or name.startswith(prefix + "_"):
            return scope
    raise DeclarationError(f"{name}: the name must begin with one of {', '.join(SCOPES)} (or give scope=)")


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DeclarationError(
            f"{name}: an annotation is not there at run time ({error}); import it outside TYPE_CHECKING"
        ) from error


def _needs(call: Callable[..., Any], hints: dict[str, Any]) -> tuple[Need, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in inspect.signature(call).parameters.values() if p.kind in kinds]
    return tuple(Need(n, hints.get(n)) for n in names if n != "self")


def _parameters(name: str, target: Callable[..., Any], more: dict[str, Any]) -> dict[str, Any]:
    """The keyword-only parameters (of `__init__` where the operator is a class), and some more."""
    function = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    hints = _hints(name, function)
    fields: dict[str, Any] = dict(more)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            if isinstance(target, type) and "__init__" not in vars(target):
                continue  # object.__init__
            if typing.get_origin(hints.get(parameter.name)) is Unpack:
                fields |= _unpacked(hints[parameter.name])
                continue
            raise DeclarationError(f"{name}: *args and **kwargs hide misspelt settings; name each one")
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.name not in hints:
            raise DeclarationError(f"{name}: setting {parameter.name!r} needs an annotation")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return fields


def _unpacked(annotation: Any) -> dict[str, Any]:
    """The settings that `**name: Unpack[Some]` stands for: those of the TypedDict, which operators share.

    A setting's default is that of the pydantic field in its annotation; it is required where there is none.
    """
    (shared,) = typing.get_args(annotation)
    found = {}
    for name, hint in typing.get_type_hints(shared, include_extras=True).items():
        fields = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, FieldInfo)]
        required = not fields or fields[0].is_required()
        found[name] = (hint, ... if required else fields[0].default)
    return found


def _outputs(name: str, returns: Any) -> tuple[tuple[Output, ...], bool]:
    batched = typing.get_origin(returns) is list
    if batched:
        (returns,) = typing.get_args(returns)
    returns = _without_none(returns)
    if isinstance(returns, type) and issubclass(returns, tuple) and hasattr(returns, "_fields"):
        hints = typing.get_type_hints(returns, include_extras=True)
        names = (name if part == "value" else f"{name}_{part}" for part in returns._fields)
        return tuple(_output(*each) for each in zip(names, hints.values(), strict=True)), batched
    return (_output(name, returns),), batched


def _output(name: str, annotation: Any) -> Output:
    if typing.get_origin(annotation) is not Annotated:
        raise DeclarationError(f"{name}: the return annotation must be Annotated[<type>, Field(...)]")
    python, *extras = typing.get_args(annotation)
    found = [extra for extra in extras if isinstance(extra, Field)]
    if len(found) != 1:
        raise DeclarationError(f"{name}: the return annotation needs exactly one Field(...)")
    python = _without_none(python)
    return Output(name, _value_kind(name, python, found[0]), _plain(python), found[0])


def _without_none(python: Any) -> Any:
    """The type itself of an optional one."""
    options = [p for p in typing.get_args(python) if p is not types.NoneType]
    is_union = typing.get_origin(python) in (typing.Union, types.UnionType)
    return options[0] if is_union and len(options) == 1 else python


def _plain(python: Any) -> type:
    return np.ndarray if typing.get_origin(python) is np.ndarray else python


def _value_kind(name: str, python: Any, field: Field) -> ValueKind:
    if field.bits is not None:
        return "bits"
    if field.size is not None:
        return "vector"
    if python is bytes:
        return "binary"
    kinds: dict[Any, ValueKind] = {float: "number", int: "number", bool: "bool", str: "text"}
    if python not in kinds:
        raise DeclarationError(f"{name}: cannot store values of type {python!r}")
    return kinds[python]


def _question(target: Callable[..., Any]) -> str:
    module = sys.modules.get(target.__module__)
    return (module.__doc__ or "").strip().split("\n")[0] if module else ""
