"""What a member's name says: which sample it belongs to, and what kind of bytes it holds.

Tars, folders and tables share these rules, so that a sample keeps its key and its sidecars when it moves
from one format to another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from sluice.sample.model import Item, Modality

_TYPES: dict[Modality, dict[str, str]] = {
    "image": {
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "jpe": "image/jpeg",
        "jfif": "image/jpeg",
        "png": "image/png",
        "apng": "image/apng",
        "webp": "image/webp",
        "tif": "image/tiff",
        "tiff": "image/tiff",
        "gif": "image/gif",
        "bmp": "image/bmp",
        "dib": "image/bmp",
        "avif": "image/avif",
        "avifs": "image/avif",
        "jxl": "image/jxl",
        "heic": "image/heic",
        "heif": "image/heif",
        "jp2": "image/jp2",
        "j2k": "image/jp2",
        "jpx": "image/jpx",
        "mpo": "image/mpo",
        "ppm": "image/x-portable-pixmap",
        "pgm": "image/x-portable-graymap",
        "pbm": "image/x-portable-bitmap",
        "tga": "image/x-tga",
        "fli": "image/x-fli",
        "ico": "image/vnd.microsoft.icon",
    },
    "video": {
        "mp4": "video/mp4",
        "m4v": "video/mp4",
        "webm": "video/webm",
        "mov": "video/quicktime",
        "mkv": "video/x-matroska",
        "avi": "video/x-msvideo",
        "mpg": "video/mpeg",
        "mpeg": "video/mpeg",
        "ogv": "video/ogg",
        "ts": "video/mp2t",
        "m2ts": "video/mp2t",
        "mts": "video/mp2t",
        "wmv": "video/x-ms-wmv",
        "asf": "video/x-ms-asf",
        "flv": "video/x-flv",
        "3gp": "video/3gpp",
    },
    "audio": {
        "mp3": "audio/mpeg",
        "wav": "audio/wav",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
        "oga": "audio/ogg",
        "opus": "audio/opus",
        "m4a": "audio/mp4",
        "aac": "audio/aac",
        "wma": "audio/x-ms-wma",
    },
    "text": {"txt": "text/plain", "caption": "text/plain"},
    "metadata": {"json": "application/json"},
}
FIELDS_COLUMN = "source_fields"
"""Column in which our writers keep, as JSON, the source fields that fit no column of one type."""

_BY_EXTENSION = {ext: (modality, mime) for modality, types in _TYPES.items() for ext, mime in types.items()}
_EXTENSION_OF = {mime: ext for ext, (_, mime) in reversed(_BY_EXTENSION.items())}
_OTHER: tuple[Modality, str] = ("other", "application/octet-stream")

# In the basename of a key a dot would end the key; it is written %2E, and a literal %2E gets one more 25.
_PLAIN = re.compile(r"\.|%((?:25)*)2E")
_CODED = re.compile(r"%((?:25)*)2E")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


def member_type(name: str) -> tuple[Modality, str]:
    """Modality and MIME type by the last extension of a name (`left.PNG` → image, image/png)."""
    return _BY_EXTENSION.get(name.rpartition(".")[2].lower(), _OTHER)


def extension_for(content_type: str) -> str:
    """The usual extension of a MIME type, "" where none is known."""
    return _EXTENSION_OF.get(content_type, "")


def split_member(member: str) -> tuple[str, str]:
    """Key and item name of a tar member: cut at the first dot of the basename, the directory kept.

    A dot that the basename begins with belongs to the key, as does a last dot that no extension follows; a
    `%2E` inside the key's basename reads as a dot. `join_member` is the exact inverse.
    """
    folder, base = _at_last_slash(member)
    dot = base.find(".", 1)
    if dot < 0 or dot == len(base) - 1:
        return folder + _coded(_CODED, base, _decode, keep_last=True), ""
    return folder + _coded(_CODED, base[:dot], _decode, keep_last=False), base[dot + 1 :]


def join_member(key: str, name: str) -> str:
    """The tar member of an item: `key.name`, with dots inside the key's basename written `%2E`."""
    folder, base = _at_last_slash(key)
    coded = folder + _coded(_PLAIN, base, _encode, keep_last=not name)
    return f"{coded}.{name}" if name else coded


def safe_member(member: str) -> str:
    """A relative name that stays below its root: control characters, `..`, `.` and empty segments escaped.

    Ordinary names are returned unchanged; `./a` is left as it is.
    """
    plain = member.isascii() and member.isprintable() and "//" not in member and "/." not in member
    if plain and member[:1] not in ("/", ".") and not member.endswith("/"):
        return member
    clean = "".join(_percent(c) for c in member)
    start = "./" if clean.startswith("./") and len(clean) > 2 else ""
    segments = clean.removeprefix(start).split("/")
    return start + "/".join(_safe_segment(s) for s in segments)


def is_unsafe(member: str) -> bool:
    """Would extracting a member of this name leave the folder it is extracted to (absolute, `..`)?"""
    return member.startswith("/") or (".." in member and ".." in member.split("/"))


def readable_name(raw: bytes) -> str:
    """A name from its bytes. Where they are not UTF-8, bad bytes and '%' become `%XX`, so that it is text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = raw.replace(b"%", b"%25").decode("utf-8", "surrogateescape")
        return "".join(_percent(c) for c in text)


def default_name(item: Item) -> str:
    """The item's name, or for an item without one the extension of its type ("txt", "json", "jpg", "bin")."""
    if item.name:
        return item.name
    usual = {"text": "txt", "metadata": "json"}
    return extension_for(item.content_type) or usual.get(item.modality, "bin")


def leftover_fields(text: object) -> dict[str, Any]:
    """The source fields that one of our writers kept in `FIELDS_COLUMN`; none for anything else."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def sniff_extension(data: bytes) -> str:
    """The extension that the first bytes of a media file call for, "" where they are not known."""
    for magic, extension in _MAGIC:
        if data.startswith(magic):
            return extension
    if data[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return _FTYP.get(data[8:12], "mp4")
    return ""


# First bytes as registered with IANA or given in each format's specification.
_MAGIC = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"BM", "bmp"),
    (b"\0\0\0\x0cjP  ", "jp2"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"\x1a\x45\xdf\xa3", "mkv"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
)
_FTYP = {b"avif": "avif", b"avis": "avif", b"heic": "heic", b"heix": "heic", b"mif1": "heif", b"qt  ": "mov"}


def _at_last_slash(path: str) -> tuple[str, str]:
    cut = path.rfind("/") + 1
    return path[:cut], path[cut:]


def _coded(
    pattern: re.Pattern[str], text: str, change: Callable[[re.Match[str]], str], *, keep_last: bool
) -> str:
    """Change every match but one at the very beginning and, with `keep_last`, one at the very end."""
    if "%" not in text and "." not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        kept = match.start() == 0 or (keep_last and match.end() == len(text))
        return match[0] if kept else change(match)

    return pattern.sub(replace, text)


def _encode(match: re.Match[str]) -> str:
    return "%2E" if match[0] == "." else f"%25{match[1]}2E"


def _decode(match: re.Match[str]) -> str:
    return f"%{match[1][2:]}2E" if match[1] else "."


def _percent(char: str) -> str:
    """A character that cannot stand in a name as `%XX` (lone surrogates as the byte they stand for)."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"%{code - 0xDC00:02X}"
    if 0xD800 <= code <= 0xDFFF:
        return "%EF%BF%BD"
    return f"%{code:02X}" if _UNSAFE.match(char) else char


def _safe_segment(segment: str) -> str:
    if segment in (".", ".."):
        return segment.replace(".", "%2E")
    return segment or "%2F"
