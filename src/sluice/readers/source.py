"""Which files a source path means: a folder, one file, a glob or a brace range, here or in an object store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from urllib.parse import unquote

from sluice.errors import ReadError, SourceError, StorageError
from sluice.readers.protocol import FileStat
from sluice.sample.members import readable_name
from sluice.storage import Entry, Location

OWN_FOLDER = "_sluice"
"""The folder of a run inside an output; it holds no samples."""

OWN_TABLES = ("selection.parquet", "dataset.json")
"""What lies beside it in an output and tells of the run, not of samples."""

_GLOB = re.compile(r"[*?\[{]")
_WILD = re.compile(r"[*?\[]")
_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_NAMES = 1_000_000
_BAD_BYTE = re.compile(r"%[89A-F][0-9A-F]")


@dataclass(frozen=True, slots=True)
class Source:
    """A root folder and which files below it are meant.

    The whole folder, the files called `names`, or those that match `patterns`: paths relative to the root in
    which `*` and `?` stay inside a segment and `**` crosses segments. The root is the longest folder without
    a pattern, so that `raw/` and `raw/*.tar` give the same relative paths.
    """

    root: Location
    names: tuple[str, ...] | None = None
    patterns: tuple[str, ...] | None = None

    @classmethod
    def of(cls, place: Location) -> Source:
        """What a path means; a path that exists is taken literally, whatever characters it holds."""
        http = place.url.startswith(("http://", "https://"))
        # Only http URLs are percent-encoded; there a brace would otherwise hide as %7B.
        text = unquote(place.url) if http else place.url
        glob = _GLOB.search(text)
        try:
            if (glob is None or not http) and place.stat() is not None:
                return cls(place.parent, names=(place.name,))
            if glob is None and http:
                raise SourceError("there is no such file", where=place.url, fix="check the URL")
            if not http and place.is_dir():
                return cls(place)
        except StorageError as error:
            raise SourceError(error.what, where=error.where, fix=error.fix) from error
        if glob is None:
            raise SourceError("there is no such file or folder", where=place.url, fix="check the path")
        folder = text[: text.rfind("/", 0, glob.start())]
        patterns = tuple(expand_braces(text[len(folder) + 1 :]))
        if any(_WILD.search(p) for p in patterns):
            return cls(Location(folder or "/"), patterns=patterns)
        return cls(Location(folder or "/"), names=tuple(sorted(dict.fromkeys(patterns), key=_encoded)))

    def files(self) -> Iterator[FileStat]:
        """The files meant, in byte order of their paths; hidden ones and those of our own runs left out."""
        if self.names is not None:
            yield from self._named(self.names)
            return
        pattern = "|".join(f"(?:{glob_to_regex(p)})" for p in self.patterns or ("**",))
        matches = re.compile(pattern, re.DOTALL)  # a name may hold a newline
        deep = self.patterns is None or any("/" in p or "**" in p for p in self.patterns)
        ours: set[str] = set()
        for entry in self.root.list(recursive=deep):
            if is_hidden(entry.path):
                # In byte order a run's folder comes before the tables about the run that stand beside it.
                folder, own, _ = f"/{entry.path}".partition(f"/{OWN_FOLDER}/")
                if own:
                    ours |= {f"{folder}/{table}".removeprefix("/") for table in OWN_TABLES}
            elif matches.fullmatch(entry.path) and entry.path not in ours:
                yield _stat(entry)

    def _named(self, names: tuple[str, ...]) -> Iterator[FileStat]:
        for name in names:
            place = self.root / name
            entry = place.stat()
            if entry is None:
                raise SourceError("there is no such file", where=place.url, fix="check the path or the range")
            yield FileStat(name, entry.size, entry.mtime_ns, entry.etag)

    def locate(self, file: FileStat) -> Location:
        """Where a listed file lies. `ReadError` for a name that is not Unicode: it cannot be addressed."""
        place = self.root / file.path
        if self.root.is_local and _BAD_BYTE.search(file.path) and place.stat() is None:
            raise ReadError("file name is not Unicode", where=place.url, fix="rename the file")
        return place


def is_hidden(path: str) -> bool:
    """Does a segment of the path begin with a dot, or belong to a run of ours?"""
    if path.startswith(".") or "/." in path:
        return True
    return path.startswith(OWN_FOLDER + "/") or f"/{OWN_FOLDER}/" in path


def expand_braces(pattern: str) -> list[str]:
    """`{000..010}` (zero-padded as its first number) and `{a,b}` written out, in order."""
    parts: list[list[str]] = []
    end = 0
    total = 1
    for match in _BRACE.finditer(pattern):
        parts.append([pattern[end : match.start()]])
        parts.append(_choices(match[1]) or [match[0]])
        total *= len(parts[-1])
        end = match.end()
        if total > _MOST_NAMES:
            raise SourceError(f"{pattern!r} names more than {_MOST_NAMES:,} files", fix="use a `*` instead")
    parts.append([pattern[end:]])
    return ["".join(choice) for choice in product(*parts)]


def glob_to_regex(pattern: str) -> str:
    """A glob as a regular expression: `*` and `?` stay inside a path segment, `**/` is any folders or none."""
    out = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out.append("(?:[^/]+/)*")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inside[1:]}/]" if inside.startswith("!") else f"[{inside}]")
            at = end + 1
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at])))
            at += 1
    try:
        re.compile("".join(out))
    except re.error as error:
        raise SourceError(f"{pattern!r} is no valid pattern ({error})", fix="check the brackets") from error
    return "".join(out)


def _choices(inside: str) -> list[str]:
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        return inside.split(",") if "," in inside else []
    low, high = int(numbers[1]), int(numbers[2])
    if high < low or high - low >= _MOST_NAMES:
        raise SourceError(
            f"the range {{{inside}}} is empty or too long", fix="write it as {first..last}, e.g. {000..010}"
        )
    return [str(n).zfill(len(numbers[1])) for n in range(low, high + 1)]


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _stat(entry: Entry) -> FileStat:
    path = entry.path if entry.path.isascii() else readable_name(_encoded(entry.path))
    return FileStat(path, entry.size, entry.mtime_ns, entry.etag)
