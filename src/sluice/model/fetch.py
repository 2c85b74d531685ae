"""Fetches models that were asked for by name: the only place of Sluice that downloads weights."""

from __future__ import annotations

import json
import re
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from sluice.errors import SluiceError, StorageError, UsageError
from sluice.model.cards import Card, cards
from sluice.model.files import digests_folder, models_folder
from sluice.model.integrity import FETCHED, flaws, sha256
from sluice.operator.extra import imported

_BLOCK = 1 << 20
_TIMEOUT_S = 60
_SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "*/config.json")
"""Configurations, tokenizers and preprocessors; `*/config.json` are those of pooling layers."""
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""Best first. Pickled weights only where there are no others, and torch reads of them nothing but tensors."""


def card_of(name: str) -> Card:
    """The card of a known model, or one for any repository `owner/name` of Hugging Face's hub."""
    if name in cards():
        return cards()[name]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UsageError(
            f"no model {name!r} is known",
            fix="`sluice models list` names those we know; one of the hub is fetched as owner/name",
        )
    licence = "as its publisher states"
    return Card(name=name, kind="transformers", licence=licence, source=f"hub:{name}", about="")


def fetch(card: Card) -> Path:
    """Bring a model into our models' folder, whole and verified or not at all; returns its folder.

    What an interrupted fetch brought is used by the next. Raises StorageError where it cannot be fetched or is
    not what was published.
    """
    target = models_folder() / card.name
    partial = target.with_name(target.name + ".partial")
    record = _from_hub(card, *card.hub, partial) if card.hub else _from_address(card, partial)
    wrong = list(flaws(partial, card, digests_folder())) + _unlike(partial, record)
    if wrong:
        shutil.rmtree(partial)
        raise StorageError(
            f"what was fetched is not the model {card.name!r}: {'; '.join(wrong)}",
            where=card.source,
            fix="try again; if it stays so, the publisher changed the files",
        )
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    (partial / FETCHED).write_text(json.dumps(record, indent=1, sort_keys=True))
    if target.exists():
        shutil.rmtree(target)
    partial.replace(target)
    return target


def _unlike(folder: Path, record: dict[str, Any]) -> list[str]:
    """Files that are not as the hub lists them; the sizes and digests that it does not list are filled in."""
    wrong = []
    for name, known in record["files"].items():
        file = folder / name
        if not file.is_file():
            wrong.append(f"it has no {name}")
            continue
        found = {"size_bytes": file.stat().st_size, "sha256": sha256(file, digests_folder())}
        if any(known.get(key) not in (None, value) for key, value in found.items()):
            wrong.append(f"{name} is not what its publisher lists")
        known.update(found)
    return wrong


def _from_hub(card: Card, repository: str, revision: str, partial: Path) -> dict[str, Any]:
    """Fetch the files of a model from the hub; the record of what they should be."""
    hub = _hub_module()
    try:
        commit = hub.HfApi().model_info(repository, revision=revision).sha
        tree = hub.HfApi().list_repo_tree(repository, revision=commit, recursive=True)
        listed = {entry.path: entry for entry in tree if hasattr(entry, "size")}
        wanted = _wanted(card, list(listed))
        hub.snapshot_download(repository, revision=commit, local_dir=partial, allow_patterns=wanted)
    except SluiceError:
        raise
    except Exception as error:  # the client's own, and those of the HTTP library beneath it
        first = str(error).strip().partition("\n")[0]
        raise StorageError(
            f"the model {card.name!r} could not be fetched: {type(error).__name__}: {first}",
            where=f"{repository} at {revision}",
            fix="the same command continues; a gated model needs `hf auth login`",
        ) from error
    files = {
        name: {
            "size_bytes": listed[name].size,
            "sha256": listed[name].lfs.sha256 if listed[name].lfs else None,
        }
        for name in wanted
    }
    return {"source": f"hub:{repository}", "revision": commit, "files": files}


def _wanted(card: Card, listed: list[str]) -> list[str]:
    """Of a repository's files those that are loaded: named ones, else configurations and one kind of weights."""
    if card.files:
        return [name for name in listed if name in card.files]
    small = [name for name in listed if any(_matches(name, pattern) for pattern in _SMALL)]
    for pattern in _WEIGHTS:
        weights = [name for name in listed if _matches(name, pattern)]
        if weights:
            return [
                name for name in small if not name.endswith(".bin.index.json") or ".bin" in pattern
            ] + weights
    raise StorageError(
        f"the repository of {card.name!r} holds no weights that can be loaded",
        where=card.source,
        fix=f"it must have one of {', '.join(_WEIGHTS)}",
    )


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) and name.count("/") == pattern.count("/")


def _from_address(card: Card, partial: Path) -> dict[str, Any]:
    """Fetch the one file of a model; the record of it."""
    (name,) = card.files
    partial.mkdir(parents=True, exist_ok=True)
    arriving = partial / Path(card.source).name
    _download(card.source, arriving.with_name(arriving.name + ".part"))
    arriving.with_name(arriving.name + ".part").replace(arriving)
    if arriving.suffix == ".zip" and arriving.name != name:
        try:
            with (
                zipfile.ZipFile(arriving) as archive,
                archive.open(name) as member,
                (partial / name).open("wb") as out,
            ):
                shutil.copyfileobj(member, out)
        except (zipfile.BadZipFile, KeyError) as error:
            raise StorageError(f"the archive does not hold {name}: {error}", where=card.source) from error
        finally:
            arriving.unlink()
    elif arriving.name != name:
        arriving.replace(partial / name)
    return {"source": card.source, "revision": "", "files": {name: {}}}


def _download(address: str, target: Path) -> None:
    """Append to `target` what it lacks of the file at an address."""
    have = target.stat().st_size if target.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            if address.startswith("https:") and not answer.url.startswith("https:"):
                raise StorageError("the address leads to one without encryption", where=answer.url)
            goes_on = answer.status == 206 and _start(answer.headers.get("Content-Range", "")) == have
            with target.open("ab" if goes_on else "wb") as out:
                before = out.tell()
                shutil.copyfileobj(answer, out, _BLOCK)
                brought = out.tell() - before
            length = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # it is longer than the file: another file's, or already whole
            target.unlink()
            _download(address, target)
            return
        raise StorageError(f"the server answers {error.code} {error.reason}", where=address) from error
    except OSError as error:
        raise StorageError(
            f"the connection failed: {error}", where=address, fix="the same command continues"
        ) from error
    if length is not None and brought != int(length):
        raise StorageError("the connection ended early", where=address, fix="the same command continues")


def _start(content_range: str) -> int | None:
    found = re.match(r"bytes (\d+)-", content_range)
    return int(found[1]) if found else None


def _hub_module() -> Any:
    if not sys.stderr.isatty():
        imported("huggingface_hub.utils", "models").disable_progress_bars()
    return imported("huggingface_hub", "models")
