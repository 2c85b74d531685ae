"""Reads YAML into plain data that remembers its lines, and writes it again.

Scalars follow YAML 1.2's core schema, not PyYAML's 1.1, in which `no` is false, `16:9` is 969 and `1e3` a
text. A key given twice is an error, tags are refused, and aliases cannot multiply without bound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from sluice.errors import RecipeError

Path = tuple[str | int, ...]

#: A recipe is a page of text; a file larger than this is something else.
MAX_CHARACTERS = 1_000_000
#: More values than this can only come from aliases of aliases.
MAX_VALUES = 100_000

_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:\d[\d_]*|0x[0-9a-fA-F]+)")
_FLOAT = re.compile(
    r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN)"
)
_NULL = re.compile(r"~|null|Null|NULL|")
_PLAIN = {
    "tag:yaml.org,2002:bool": (_BOOL, "tTfF"),
    "tag:yaml.org,2002:int": (_INT, "-+0123456789"),
    "tag:yaml.org,2002:float": (_FLOAT, "-+.0123456789"),
    "tag:yaml.org,2002:null": (_NULL, ["~", "n", "N", ""]),
    "tag:yaml.org,2002:merge": (re.compile("<<"), "<"),
}


def _no_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    # A class with a table of its own does not inherit PyYAML's YAML 1.1 rules.
    return {}


_UNICODE_LINE_END = re.compile("[\x85\u2028\u2029]")


class Dumper(yaml.SafeDumper):
    """Writes YAML that our reader, and readers of YAML 1.1, read back to the same data, without anchors."""

    # PyYAML's own table stays, ours comes on top: a text that either takes for something else is quoted.

    def ignore_aliases(self, data: Any) -> bool:
        """Equal parts are written out; a recipe with `*id001` in it helps nobody."""
        return True

    def represent_text(self, data: str) -> yaml.ScalarNode:
        """A text; one that holds a line end of Unicode's goes in double quotes, where PyYAML escapes it."""
        style = '"' if _UNICODE_LINE_END.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


Dumper.add_representer(str, Dumper.represent_text)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _no_resolvers()


for _tag, (_pattern, _first) in _PLAIN.items():
    _whole = re.compile(f"(?:{_pattern.pattern})\\Z")
    for _kind in (Dumper, _Loader):
        _kind.add_implicit_resolver(_tag, _whole, list(_first))


@dataclass
class Document:
    """Plain data, and the line of every part of it by its path."""

    data: Any
    file: str = ""
    lines: dict[Path, int] = field(default_factory=dict)
    overridden: dict[Path, str] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of the part at `path`, or of the nearest part around it that has one; 0 for none."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def where(self, path: Path) -> str:
        """`file:line` of a part, or the option that set it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overridden:
                return self.overridden[path[:length]]
            if path[:length] in self.lines:
                break
        line = self.line(path)
        return f"{self.file}:{line}" if line else self.file


def read_yaml(text: str, file: str = "") -> Document:
    """The one document in `text`; `RecipeError` with file and line where it is not YAML we read."""
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(f"{len(text):,} characters are too many for a recipe", where=file)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document(None, file)
        document.data = _Builder(document, loader).build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        raise RecipeError(
            f"not valid YAML: {error.problem}", where=where, fix=_hint(str(error.problem))
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"not valid YAML: {str(error).splitlines()[0]}", where=file) from None
    except RecursionError:
        raise RecipeError("nested too deeply for a recipe", where=file) from None
    return document


def _hint(problem: str) -> str:
    if "mapping values are not allowed" in problem:
        return "put a value that holds `: ` in quotes"
    if "cannot start any token" in problem:
        return "indent with spaces and put values with special characters in quotes"
    return ""


class _Builder:
    """Turns YAML's nodes into data, noting lines; counts values so that aliases cannot explode."""

    def __init__(self, document: Document, loader: _Loader) -> None:
        self.document, self.loader, self.values = document, loader, 0

    def wrong(self, what: str, node: yaml.Node, fix: str = "") -> RecipeError:
        return RecipeError(what, where=f"{self.document.file}:{node.start_mark.line + 1}", fix=fix)

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or len(path) > 50:
            raise self.wrong("this expands to too many values for a recipe", node)
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
            raise self.wrong(f"the tag {node.tag} has no place in a recipe", node, "remove it")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, number)) for number, child in enumerate(node.value)]
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self.merge(value_node, path)
                continue
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self.wrong("a key must be a text", key_node, "put it in quotes")
            if key in found:
                first = self.document.lines[(*path, key)]
                raise self.wrong(
                    f"`{key}` is given twice (first in line {first})", key_node, "remove one of them"
                )
            self.document.lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = self.build(value_node, (*path, key))
        return merged | found

    def merge(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise self.wrong("`<<` merges mappings only", node)
            merged = self.mapping(part, path) | merged
        return merged

    def scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        read = _SCALARS.get(kind)
        if read is None:
            raise self.wrong(f"the tag {node.tag} has no place in a recipe", node, "remove it")
        try:
            return read(node.value)
        except ValueError:
            raise self.wrong(f"{node.value!r} is no {kind}", node) from None


def _float(text: str) -> float:
    return float(
        text.replace("_", "")
        .replace(".inf", "inf")
        .replace(".Inf", "inf")
        .replace(".n", "n")
        .replace(".N", "N")
    )


_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda text: None,
    "bool": lambda text: text.lower() == "true",
    "int": lambda text: int(text, 16) if "0x" in text else int(text.replace("_", "")),
    "float": _float,
}
