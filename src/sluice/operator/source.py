"""Knows an operator's code by a digest, so that changed code is measured anew and changed prose is not."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

_SHARED = ("sluice.ops",)
"""Packages of ours whose modules are an operator's own code; declarations give versions of all else."""


def source_hash(target: Callable[..., Any]) -> str:
    """xxh3-128 over the declaring module and the modules of its package that it imports, in hexadecimal.

    Comments, layout and docstrings do not count. What other distributions do is known by their versions
    (`libraries=`). Code typed at a prompt is known by itself alone; where there is no source, the result is
    empty and the version number speaks for it.
    """
    module = target.__module__
    trees = _trees(module) or _typed(target)
    return xxhash.xxh3_128_hexdigest("\n".join(trees).encode()) if trees else ""


def _typed(target: Callable[..., Any]) -> list[str]:
    try:
        return [_code(textwrap.dedent(inspect.getsource(target)))[0]]
    except (OSError, TypeError, SyntaxError):
        return []


def _trees(module: str) -> list[str]:
    """The code of a module and, in the order of their names, of its relatives that it leads to."""
    found: dict[str, str] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        path = _path(name)
        if name in found or path is None:
            continue
        found[name], imported = _read(path, name)
        todo += [other for other in imported if _related(module, other)]
    return [found[name] for name in sorted(found)]


def _related(module: str, other: str) -> bool:
    root = next((package for package in _SHARED if _within(module, package)), module.partition(".")[0])
    return _within(other, root)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _path(module: str) -> Path | None:
    """The source file of a module, found without importing anything; None where the name is no module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is not None:
        path = Path(file)
        return path if path.suffix == ".py" and path.exists() else None
    parent, _, name = module.rpartition(".")
    above = _path(parent) if parent else None
    if above is None or above.name != "__init__.py":
        return None
    places = (above.parent / f"{name}.py", above.parent / name / "__init__.py")
    return next((place for place in places if place.exists()), None)


def _read(path: Path, module: str) -> tuple[str, tuple[str, ...]]:
    return _parsed(path, path.stat().st_mtime_ns, module)


@cache
def _parsed(path: Path, changed_ns: int, module: str) -> tuple[str, tuple[str, ...]]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    code, tree = _code(path.read_text(encoding="utf-8"))
    return code, tuple(_imports(tree, package))


def _code(text: str) -> tuple[str, ast.Module]:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree), tree


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            name = importlib.util.resolve_name(base, package) if node.level else base
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)
