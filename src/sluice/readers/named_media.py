"""Media that a chat or a token document names: files beside it, addresses, bytes in the text itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sluice.errors import ReadError, StorageError, UsageError
from sluice.readers.documents import DocumentBuilder, Trouble
from sluice.readers.page_pictures import of_data_url
from sluice.readers.table import Origin, find_beside
from sluice.sample import Media
from sluice.sample.members import member_type, sniff_extension

_ADDRESS_KEYS = ("url", "path", "value", "image", "video", "audio")
_SHOWN = 200  # characters of an address in a note


@dataclass(frozen=True, slots=True)
class NamedMedia:
    """Where the media lie: below `media_root`, once `strip_prefix` is taken from the front of their paths."""

    media_root: str = ""
    strip_prefix: str = ""

    def __post_init__(self) -> None:
        if self.media_root.startswith("/") or ".." in self.media_root.split("/"):
            raise UsageError(
                f"`media_root` cannot be {self.media_root!r}",
                fix="give a folder below the source; let the source be one that holds the media too",
            )

    def add(
        self,
        build: DocumentBuilder,
        modality: str,
        address: str,
        origin: Origin,
        fields: Mapping[str, Any],
    ) -> None:
        """The medium as the document's next item: a view, bytes in hand, a reference, or a note why there is none."""
        media, path, own, trouble = self._found(address, origin)
        extension = path.rpartition("/")[2].rpartition(".")[2].lower()
        found, mime = member_type(f".{extension}")
        if found not in ("image", "video", "audio"):
            extension, mime = "bin", ""
        build.medium(modality, mime, media, {**fields, **own}, extension=extension, trouble=trouble)

    def _found(
        self, address: str, origin: Origin
    ) -> tuple[Media | None, str, Mapping[str, str], Trouble | None]:
        """The view, a path that tells its type, the fields of a reference, and what is wrong."""
        if address[:5].lower() == "data:":
            try:
                data = of_data_url(address)
            except ReadError as error:
                return None, "", {}, (error.reason, error.what)
            return Media(size=len(data), data=data), f".{sniff_extension(data)}", {}, None
        if address.lower().startswith(("http://", "https://")):
            return None, _url_path(address), {"url": address}, None
        media, trouble = self._beside(address.removeprefix(self.strip_prefix), origin)
        return media, address, {}, trouble

    def _beside(self, path: str, origin: Origin) -> tuple[Media | None, Trouble | None]:
        """The file, from the folder of the file that names it, else from the source's own."""
        if path.startswith("/"):
            return None, ("unsafe path", f"{path[:_SHOWN]!r} is absolute")
        root = self.media_root.removeprefix("./").strip("/")
        below = f"{root}/{path.removeprefix('./')}" if root and root != "." else path
        found = _found_beside(below, origin)
        if found[0] is None and "/" in origin.path:
            top = Origin(origin.root, origin.path.rpartition("/")[2], origin.row)
            again = _found_beside(below, top)
            return again if again[0] is not None else found
        return found


def _found_beside(path: str, origin: Origin) -> tuple[Media | None, Trouble | None]:
    try:
        return find_beside(path, origin)
    except (StorageError, ValueError) as error:  # no name that a file can have
        return None, ("file missing", f"{path[:_SHOWN]!r}: {str(error)[:_SHOWN]}")


def _url_path(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def address_of(value: Any, what: str) -> tuple[str, dict[str, Any]]:
    """The address in a string or in an object that holds one, and what else that object says. Else `ReadError`."""
    if isinstance(value, str) and value:
        return value, {}
    if isinstance(value, dict):
        for key in _ADDRESS_KEYS:
            if isinstance(value.get(key), str) and value[key]:
                return value[key], {n: v for n, v in value.items() if n != key}
    shown = repr(value) if value is None or value == "" else f"a {type(value).__name__}"
    raise ReadError("medium of another type", f"`{what}` holds {shown}")
