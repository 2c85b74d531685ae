"""A chat in a JSON object as a document: what each side says and shows, in order, with role and turn."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluice.errors import ReadError
from sluice.readers.documents import MOST_ITEMS, DocumentBuilder
from sluice.readers.media_lists import MediaLists
from sluice.readers.named_media import NamedMedia, address_of
from sluice.readers.table import Origin
from sluice.sample import Sample, sample_id
from sluice.sample.markers import CHAT_MARKERS, CONTEXT_MARKERS, count, cut

_TURNS = (("conversations", "from", "value"), ("messages", "role", "content"))
"""Key of the list of turns, and the keys of a turn: LLaVA and ShareGPT; OpenAI and LLaMA-Factory. Mixed ones too."""

_LISTS = {
    "image": "image", "images": "image", "video": "video", "videos": "video", "audio": "audio", "audios": "audio",
}  # fmt: skip
_OURS = ("role", "turn", "message", "url")

Parts = list[tuple[str, Any, Mapping[str, Any]]]
"""("text", text, {}), (modality, address, fields), or (modality, None, {}) for a marker: the next of its list."""


def is_chat(value: Any) -> bool:
    """Whether an object is a chat: a list of turns that say who speaks and what."""
    if not isinstance(value, dict) or {"members", "sidecars"} <= value.keys():
        return False  # the latter is a table of ours, in which a chat is a field like others
    for name, *_ in _TURNS:
        turns = value.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], dict):
            return any({who, what} <= turns[0].keys() for _, who, what in _TURNS)
    return False


def chat(value: Mapping[str, Any], origin: Origin, media: NamedMedia) -> Sample:
    """The document of a chat. `ReadError` where markers and media do not fit each other, or something is no chat."""
    name = next((n for n, *_ in _TURNS if isinstance(value.get(n), list)), None)
    if name is None:
        raise ReadError("not a chat", "neither `conversations` nor `messages` is a list")
    making = _Making(MediaLists(value, _LISTS), list(_turns(value[name], name)), origin, media)
    identity = value.get("id")
    named = isinstance(identity, str | int) and not isinstance(identity, bool) and identity != ""
    key = str(identity) if named else origin.fallback_key
    taken = {name, *making.lists.names, *(("id",) if named else ())}
    fields = {n: v for n, v in value.items() if n not in taken}
    return making.build().sample(sample_id(origin.path, key, origin.row), key, fields)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message: who speaks, what is said, and what else the message holds."""

    role: str
    content: Any
    more: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Making:
    """One chat under way."""

    lists: MediaLists
    turns: list[_Turn]
    origin: Origin
    media: NamedMedia

    def build(self) -> DocumentBuilder:
        """All items, in order."""
        turns = [(turn, self._parts(turn)) for turn in self.turns]
        self._settle(turns)
        total = sum(max(1, len(parts)) for _, parts in turns)
        if total > MOST_ITEMS:
            raise ReadError("too many items", f"{total:,}, more than {MOST_ITEMS:,}")
        build = DocumentBuilder()
        build.metadata()
        for number, (turn, parts) in enumerate(turns):
            own = {"role": turn.role, "turn": number} | ({"message": turn.more} if turn.more else {})
            for modality, content, fields in parts or [("text", "", {})]:
                if modality == "text":
                    build.text(content, own)
                    continue
                address, more = (content, fields) if content is not None else self.lists.next(modality)
                self.media.add(build, modality, address, self.origin, _free(more) | own)
        return build

    def _parts(self, turn: _Turn) -> Parts:
        if turn.content is None or isinstance(turn.content, str):
            return [(what, piece or None, {}) for what, piece in cut(turn.content or "", CHAT_MARKERS)]
        if not isinstance(turn.content, list):
            raise ReadError("content of another type", f"a {type(turn.content).__name__}")
        listed = {m: what for m, what in CHAT_MARKERS.items() if what in self.lists.counts}
        return _placed([_part(each) for each in turn.content], listed)

    def _settle(self, turns: list[tuple[_Turn, Parts]]) -> None:
        """See to it that each medium has one marker: those without any stand first, all else is refused."""
        marks = Counter(what for _, parts in turns for what, content, _ in parts if content is None)
        videos = self.lists.counts["video"]
        if videos and marks["image"] == videos and not (marks["video"] or self.lists.counts["image"]):
            _as_videos(turns)  # LLaVA-NeXT marks videos with `<image>`
            marks |= Counter(video=marks.pop("image"))
        first: Parts = [(modality, None, {}) for modality in self.lists.settle(marks)]
        if first and not turns:
            raise ReadError("no turns", "media, and no one who says anything")
        if first:
            turns[0][1][:0] = first


def _turns(turns: list[Any], name: str) -> Iterator[_Turn]:
    for k, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise ReadError("turn of another type", f"`{name}.{k}` is a {type(turn).__name__}")
        who = next((n for _, n, _ in _TURNS if n in turn), None)
        what = next((n for _, _, n in _TURNS if n in turn), None)
        if who is None or what is None:
            raise ReadError("incomplete turn", f"`{name}.{k}` says not who speaks, or nothing")
        if not isinstance(turn[who], str):
            raise ReadError("role of another type", f"`{name}.{k}.{who}` is a {type(turn[who]).__name__}")
        yield _Turn(turn[who], turn[what], {n: v for n, v in turn.items() if n not in (who, what)})


def _part(part: Any) -> tuple[str, Any, Mapping[str, Any]]:
    """A part of a list of contents: a text, or a medium with its address where it gives one."""
    if isinstance(part, str):
        return "text", part, {}
    if not isinstance(part, dict):
        raise ReadError("part of another type", f"a {type(part).__name__}")
    kind = part.get("type") or next((n for n in ("text", *_LISTS) if n in part), "")
    modality = str(kind).removesuffix("_url")
    if modality == "text":
        text = next((part[n] for n in ("text", "value") if n in part), None)
        if not isinstance(text, str):
            raise ReadError("text of another type", f"a part holds a {type(text).__name__}")
        return "text", text, {}
    if modality not in _LISTS:
        raise ReadError("part of another type", f"{str(kind)[:80]!r} is neither text nor a medium")
    value = next((part[n] for n in (kind, modality, "url", "value", "path") if part.get(n) is not None), None)
    rest = {n: v for n, v in part.items() if n not in ("type", kind, modality, "url", "value", "path")}
    if value is None:
        return _LISTS[modality], None, {}
    address, more = address_of(value, str(kind))
    return _LISTS[modality], address, rest | more


def _placed(parts: Parts, listed: Mapping[str, str]) -> Parts:
    """The parts with media moved to where their placeholders stand in the texts, where there are any."""
    texts = [content for what, content, _ in parts if what == "text"]
    markers = dict(listed)
    moved: dict[str, deque[tuple[str, Any, Mapping[str, Any]]]] = {}
    for marker, modality in CONTEXT_MARKERS.items():
        marks = sum(count(text, {marker: modality}) for text in texts)
        if not marks:
            continue
        media = deque(part for part in parts if part[0] == modality)
        if len(media) != marks:
            reason = "markers without media" if marks > len(media) else "media without markers"
            raise ReadError(reason, f"{marks} times {marker}, {len(media)} media in the message")
        moved[modality], markers[marker] = media, modality
    placed: Parts = []
    for what, content, fields in parts:
        if what == "text":
            for piece, text in cut(content, markers):
                found = moved[piece].popleft() if piece in moved else (piece, text or None, {})
                placed.append(found)
        elif what not in moved:
            placed.append((what, content, fields))
    return placed


def _as_videos(turns: list[tuple[_Turn, Parts]]) -> None:
    for _, parts in turns:
        parts[:] = [
            ("video", c, f) if what == "image" and c is None else (what, c, f) for what, c, f in parts
        ]


def _free(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a medium says beside its address; names that are ours are called `source_…`."""
    return {f"source_{n}" if n in _OURS else n: v for n, v in fields.items()}
