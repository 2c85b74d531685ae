"""Documents in chunks of so many tokens: nothing is lost, order stays, images stay with their texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_text_models
from sluice.operator import registry
from sluice.operator.pairing import nearest_text
from sluice.operator.splitting import Family, Splitter
from sluice.ops.interleaved.tokens import Estimate, Tokenizer, Tokens, piece_end
from sluice.sample import Item, Media, Sample

TEXTS = st.lists(
    st.sampled_from(
        ["word ", "Word. ", "\n\n", "\n", "。", " ", "x" * 30, "🙂", '" ', "the cat ", "\ud800", "é"]
    ),
    max_size=30,
).map("".join)
DOCUMENTS = st.lists(
    st.one_of(st.just("image"), st.just("image"), TEXTS.map(lambda t: ("text", t))), max_size=10
)
GONE = Media(uri="/nonexistent/gone", size=9)


def document(kinds: Sequence[Any]) -> list[Item]:
    """Items of a document: `image`, or `("text", words)`; each says in its fields where it stands."""
    return [
        Item("image", "image/jpeg", f"{k}.jpg", media=GONE, fields={"at": k})
        if kind == "image"
        else Item("text", "text/plain", f"{k}.txt", text=kind[1], fields={"at": k})
        for k, kind in enumerate(kinds)
    ]


def family(*items: Item, **settings: Any) -> Family:
    """What the splitter makes of a document of these items."""
    return Splitter(registry().bind("sample_split_chunks", settings))(
        Sample("parent", "a/b", items, {"url": "u"})
    )


def shown(*kinds: Any, **settings: Any) -> list[str]:
    """The chunks, each as one text in which images are stars."""
    made = family(*document(kinds), **settings)
    return ["|".join("*" if i.modality == "image" else i.text or "" for i in c.items) for c in made.children]


def cost(items: Sequence[Item], tokens: Tokens, each: int) -> int:
    """The tokens of a chunk."""
    return sum(each if item.modality == "image" else tokens.count(item.text or "") for item in items)


def owners(kinds: Sequence[Any]) -> list[int]:
    """For each item the place of the text it belongs to."""
    texts = [k for k, kind in enumerate(kinds) if kind != "image"]
    return [texts[nearest_text(k, texts)] if texts else k for k in range(len(kinds))]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_text_models.byte_pairs(tmp_path_factory.mktemp("pairs") / "pairs")


@given(DOCUMENTS, st.integers(1, 60), st.integers(0, 20), st.booleans(), st.sampled_from([None, None, 1, 3]))
@settings(deadline=None, max_examples=300)
def test_nothing_is_lost_and_bounds_are_kept(
    pairs: str, kinds: list[Any], most: int, each: int, tokenized: bool, max_images: int | None
) -> None:
    tokens: Tokens = Tokenizer(pairs) if tokenized else Estimate()
    items = document(kinds)
    options = {"max_tokens": most, "tokens_per_image": each, "max_images": max_images}
    made = family(*items, **options, tokenizer=pairs if tokenized else None)
    if each > most and "image" in kinds:
        assert made.note is not None
        assert made.note.reason == "image over budget"
        return
    if not kinds:
        assert made.note is not None
        assert made.note.reason == "no content"
        return
    chunks = [child.items for child in made.children]
    flat = [item for chunk in chunks for item in chunk]
    places = [item.fields["at"] for item in flat]
    assert [key for key, _ in groupby(places)] == list(range(len(kinds))), "every item, once, in its order"
    for at, parts in groupby(flat, key=lambda item: item.fields["at"]):
        found = list(parts)
        assert len(found) == 1 or kinds[at] != "image"
        assert "".join(part.text or "" for part in found) == (items[at].text or "")
    for chunk in chunks:
        assert [item.name.partition(".")[0] for item in chunk] == [str(k) for k in range(len(chunk))]
        _is_bounded(chunk, kinds, tokens, most, each, max_images)
    _images_are_with_their_texts(chunks, kinds)


def _is_bounded(
    chunk: Sequence[Item], kinds: Sequence[Any], tokens: Tokens, most: int, each: int, max_images: int | None
) -> None:
    """Within the bounds, or one unit that cannot be: images on one side of a text alone exceed it, or it is short."""
    images = sum(item.modality == "image" for item in chunk)
    if cost(chunk, tokens, each) <= most and (max_images is None or images <= max_images):
        return
    own = owners(kinds)
    assert len({own[item.fields["at"]] for item in chunk}) == 1, (
        "more than one unit in a chunk over its bounds"
    )
    (text,) = (k for k, item in enumerate(chunk) if item.modality == "text")
    sides = (text, len(chunk) - text - 1)
    beyond = [n * each >= most or (max_images is not None and n > max_images) for n in sides]
    whole = chunk[text].text or ""
    assert any(beyond) or tokens.count(whole) <= 1 or len(whole) <= 1


def _images_are_with_their_texts(chunks: Sequence[Sequence[Item]], kinds: Sequence[Any]) -> None:
    own = owners(kinds)
    for chunk in chunks:
        here = {item.fields["at"] for item in chunk}
        for item in chunk:
            if item.modality == "image" and any(kind != "image" for kind in kinds):
                assert own[item.fields["at"]] in here


def test_units_are_packed_while_they_fit() -> None:
    four = ("text", "abcdabcdabcdabcd")
    document = (four, "image", four, "image", four)
    assert shown(*document, max_tokens=20, tokens_per_image=6) == [
        "abcdabcdabcdabcd|*|abcdabcdabcdabcd|*",
        "abcdabcdabcdabcd",
    ]
    assert shown(*document, max_tokens=19, tokens_per_image=6) == [
        "abcdabcdabcdabcd|*",
        "abcdabcdabcdabcd|*|abcdabcdabcdabcd",
    ]
    assert shown(*document, max_tokens=99, tokens_per_image=0, max_images=1) == [
        "abcdabcdabcdabcd|*",
        "abcdabcdabcdabcd|*|abcdabcdabcdabcd",
    ]


def test_a_long_text_is_cut_at_sentences_and_its_images_stay_at_their_ends() -> None:
    words = "One two three. Four five six. Seven eight. Nine ten."
    assert shown("image", ("text", words), "image", max_tokens=12, tokens_per_image=5) == [
        "*|One two three. ",
        "Four five six. ",
        "Seven eight. Nine ten.|*",
    ]


def test_pieces_of_a_cut_text_share_their_last_chunk_with_what_follows() -> None:
    long = "word " * 12
    assert shown(("text", long), ("text", "end"), "image", max_tokens=8, tokens_per_image=2) == [
        "word " * 6,
        "word " * 6,
        "end|*",
    ]
    assert shown(("text", long), ("text", "end"), "image", max_tokens=11, tokens_per_image=2) == [
        "word " * 8,
        "word " * 4 + "|end|*",
    ]


def test_what_no_cut_makes_fit_goes_over_the_budget_with_its_text() -> None:
    found = shown(("text", "before"), *["image"] * 5, ("text", "a caption"), max_tokens=8, tokens_per_image=2)
    assert found == ["before|*|*|*", "*|*|a caption"]
    assert shown("image", "image", "image", max_tokens=5, tokens_per_image=2) == ["*|*", "*"]
    assert shown("image", ("text", "x"), max_tokens=4, tokens_per_image=4) == ["*|x"]
    assert shown(*["image"] * 4, ("text", "abcd"), max_tokens=100, max_images=3) == ["*|*|*|*|abcd"]
    assert shown(*["image"] * 2, ("text", "abcd abcd"), *["image"] * 2, max_tokens=999, max_images=3) == [
        "*|*|abcd ",
        "abcd|*|*",
    ]


def test_a_chunk_is_a_document_with_what_belongs_to_the_whole() -> None:
    metadata, sidecar = Item("metadata", "application/json", "json"), Item("other", "", "cls", media=GONE)
    placed = Item("other", "", "1.npy", media=GONE)
    words = Item(
        "text", "text/plain", "0.txt", media=Media(data=b"abcd" * 4), fields={"role": "user"}, hash="h"
    )
    made = family(metadata, words, placed, sidecar, Item("text", text="abcd" * 8), max_tokens=8)
    assert [[item.name for item in c.items] for c in made.children] == [
        ["json", "cls", "0.txt", "1.npy"],
        ["json", "cls", "0.txt"],
    ]
    assert [c.key for c in made.children] == ["a/b_0000", "a/b_0001"]
    assert all(c.fields == {"url": "u"} and c.parent == "parent" for c in made.children)
    first = made.children[0].items
    assert first[2].media is words.media, "a text that is not cut stays as it is"
    assert (first[2].hash, first[2].fields) == ("h", {"role": "user"})


@pytest.mark.parametrize(
    ("items", "options", "kind", "reason"),
    [
        ((), {}, "declined", "no content"),
        ((Item("metadata", text="{}"),), {}, "declined", "no content"),
        ((Item("image", media=GONE),), {"max_tokens": 63}, "declined", "image over budget"),
        ((Item("text", media=Media(data=b"\xff\xfe\xfa")),), {}, "unreadable", "not UTF-8"),
        ((Item("text"),), {}, "unreadable", "no bytes"),
    ],
)
def test_what_cannot_be_split_says_why(
    items: tuple[Item, ...], options: dict[str, Any], kind: str, reason: str
) -> None:
    made = family(*items, **options)
    assert made.children == ()
    assert made.note is not None
    assert (made.note.kind, made.note.reason) == (kind, reason)


@given(TEXTS, st.integers(1, 30), st.booleans())
@settings(deadline=None)
def test_a_piece_has_no_more_tokens_than_it_may(pairs: str, text: str, most: int, tokenized: bool) -> None:
    tokens: Tokens = Tokenizer(pairs) if tokenized else Estimate()
    start = 0
    while start < len(text):
        end = piece_end(tokens, text, start, most)
        assert start < end <= len(text)
        assert tokens.count(text[start:end]) <= most or end == start + 1
        start = end


def test_an_estimate_is_a_token_for_four_bytes() -> None:
    assert [Estimate().count(text) for text in ("", "abc", "abcd", "abcde", "éé", "🙂🙂", "\ud800")] == [
        0, 1, 1, 2, 1, 2, 1,
    ]  # fmt: skip


def test_a_tokenizer_is_part_of_the_splitters_identity(pairs: str, tmp_path: Path) -> None:
    known = registry()
    plain = known.bind("sample_split_chunks")
    named = known.bind("sample_split_chunks", {"tokenizer": pairs})
    copy = tmp_path / Path(pairs).name
    copy.write_bytes(Path(pairs).read_bytes())
    moved = known.bind("sample_split_chunks", {"tokenizer": str(copy)})
    assert plain.fingerprint != named.fingerprint
    assert plain.contents == {"tokenizer": ""}
    assert named.contents == moved.contents != {"tokenizer": ""}


def test_real_papers_come_back_whole_by_clips_tokens(data_dir: Path) -> None:
    name = str(data_dir / "models" / "CLIP__bpe_simple_vocab_16e6.txt.gz")
    tokens = Tokenizer(name)
    split = Splitter(registry().bind("sample_split_chunks", {"tokenizer": name, "max_tokens": 256}))
    lines = (data_dir / "text" / "data-juicer__arxiv.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines[:10]:
        paragraphs = [part for part in json.loads(line)["text"].split("\n\n") if part.strip()]
        kinds = [kind for part in paragraphs for kind in (("text", part), "image")]
        items = document(kinds)
        chunks = [child.items for child in split(Sample("p", "p", tuple(items))).children]
        texts = [item.text or "" for chunk in chunks for item in chunk if item.modality == "text"]
        assert "".join(texts) == "".join(paragraphs)
        assert all(cost(chunk, tokens, 64) <= 256 for chunk in chunks)
        assert sum(item.modality == "image" for chunk in chunks for item in chunk) == len(paragraphs)


def test_huge_documents_are_split_at_once() -> None:
    assert len(shown(("text", "x" * 3_000_000), max_tokens=125)) == 6000
    assert len(shown(*["image", ("text", "a caption")] * 10_000)) > 100
    assert len(shown(*["image"] * 10_000)) == -(-10_000 // (2048 // 64))
