"""Sharded training sets: the layout byte by byte, what a peer's loaders see, and what a hostile pickle cannot do."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load as load_safetensors
from transformers import AutoTokenizer, T5EncoderModel

from clip_trees import TEXTS, add_clip, metadata, rendered, window
from sluice.codec.array_lists import Form, decoded, encoded
from sluice.errors import MissingError, UnreadableError, UsageError
from sluice.readers import detect_format, open_reader
from sluice.sample import Item, Media, Sample
from sluice.storage import Location
from sluice.writers import Partition, ShardResult, open_writer

Tiny = Callable[[str], str]
BIN = "resolution_720/aspect_ratio_16_9/frames_121_255"
FORMS: tuple[Form, ...] = ("pickle", "safetensors", "npz")


def read(path: Path, **given: Any) -> list[Sample]:
    reader = open_reader(str(path), **given)
    return [sample for part in reader.slices() for sample in reader.read(part)]


def write(
    folder: Path, samples: list[Sample | None], number: int = 0, table: Any = None, **given: Any
) -> ShardResult:
    writer: Any = open_writer(Location(folder), "video-shards", **given)
    result: ShardResult = writer.write_partitioned(Partition(BIN, number), samples, table)
    return result


def unpickled(data: bytes) -> Any:
    """As a peer's loader reads what we wrote."""
    return pickle.loads(data)  # noqa: S301


def members(path: Path) -> dict[str, bytes]:
    """A tar's members by name, in order, as Python's own tar gives them."""
    with tarfile.open(path) as tar:
        return {info.name: file.read() for info in tar if (file := tar.extractfile(info)) is not None}


def tars(folder: Path, number: str = "part_000000/000000") -> dict[str, dict[str, bytes]]:
    found = sorted(folder.glob(f"v0/{BIN}/*/{number}.tar"))
    return {path.parts[-3]: members(path) for path in found}


@pytest.fixture
def tree(tmp_path: Path, data_dir: Path) -> Path:
    """Four real clips: two windows, one, none, and one that two models captioned."""
    videos = sorted((data_dir / "videos").glob("Ask-Anything__*.mp4"))
    data = [videos[0].read_bytes(), videos[1].read_bytes(), b"not a video, but bytes are bytes", b"x" * 3]
    several = window(0, TEXTS[0], "a", b_caption=TEXTS[1], b_enhanced_caption=TEXTS[2])
    windows = [[window(0, TEXTS[0]), window(1, TEXTS[1])], [window(0, TEXTS[2])], [], [several]]
    for key, clip, told in zip("abcd", data, windows, strict=True):
        add_clip(tmp_path / "tree", f"clip-{key}", clip, metadata(f"clip-{key}", told))
    return tmp_path / "tree"


def states(folder: str, text: str, limit: int = 512) -> NDArray[np.float16]:
    """T5's states of a text in a plain pass, one text at a time, no padding."""
    tokens = AutoTokenizer.from_pretrained(folder)(
        text, truncation=True, max_length=limit, return_tensors="pt"
    )
    with torch.inference_mode():
        found = T5EncoderModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0]
    return np.asarray(found.numpy()).astype(np.float16)


def near(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    return ours.shape == theirs.shape and bool(np.abs(ours.astype(float) - theirs.astype(float)).max() < 5e-3)


def test_the_three_trees_have_the_same_clips_in_the_same_order(
    tree: Path, tmp_path: Path, tiny_model: Tiny
) -> None:
    result = write(tmp_path / "out", list(read(tree)), text_encoder=tiny_model("t5"))
    assert (result.samples, result.failed) == (4, {})
    assert [file.path for file in result.files] == [
        f"v0/{BIN}/{name}/part_000000/000000.tar" for name in ("video", "metas", "t5_xxl")
    ]
    found = tars(tmp_path / "out")
    keys = [f"clip-{k}" for k in "abcd"]
    assert list(found["video"]) == [f"{key}.mp4" for key in keys]
    assert list(found["metas"]) == [f"{key}.json" for key in keys]
    assert list(found["t5_xxl"]) == [f"{key}.pickle" for key in keys]
    for key in keys:
        assert found["video"][f"{key}.mp4"] == (tree / f"clips/{key}.mp4").read_bytes()
        assert found["metas"][f"{key}.json"] == (tree / f"metas/v0/{key}.json").read_bytes()


def test_embeddings_are_t5s_states_of_each_window_without_padding(
    tree: Path, tmp_path: Path, tiny_model: Tiny
) -> None:
    t5 = tiny_model("t5")
    write(tmp_path / "out", list(read(tree)), text_encoder=t5)
    found = {name: unpickled(data) for name, data in tars(tmp_path / "out")["t5_xxl"].items()}
    assert {name: len(arrays) for name, arrays in found.items()} == {
        "clip-a.pickle": 2,
        "clip-b.pickle": 1,
        "clip-c.pickle": 0,
        "clip-d.pickle": 1,
    }
    assert all(type(arrays) is list for arrays in found.values())
    first, second = found["clip-a.pickle"]
    assert first.dtype == np.float16
    assert near(first, states(t5, TEXTS[0]))
    assert near(second, states(t5, TEXTS[1]))
    assert near(found["clip-d.pickle"][0], states(t5, TEXTS[2]))


def test_a_caption_is_chosen_by_model_and_kind(tree: Path, tmp_path: Path, tiny_model: Tiny) -> None:
    t5 = tiny_model("t5")
    (clip,) = [s for s in read(tree) if s.key == "clip-d"]
    chosen: list[tuple[dict[str, Any], str]] = [
        ({"caption": "plain"}, TEXTS[0]),
        ({"caption_model": "b"}, TEXTS[2]),
        ({"caption_model": "b", "caption": "plain"}, TEXTS[1]),
        ({"caption_model": "a"}, TEXTS[0]),
    ]
    for settings, text in chosen:
        write(tmp_path / "out", [clip], text_encoder=t5, **settings)
        (array,) = unpickled(tars(tmp_path / "out")["t5_xxl"]["clip-d.pickle"])
        assert near(array, states(t5, text))


def test_long_captions_are_cut_and_neighbours_change_nothing(tmp_path: Path, tiny_model: Tiny) -> None:
    t5, long = tiny_model("t5"), "a cat sits on the grass and runs " * 120
    for key, text in (("a", long), ("b", TEXTS[0])):
        add_clip(tmp_path / "tree", key, b"clip", metadata(key, [window(0, text)]))
    clips = read(tmp_path / "tree")
    write(tmp_path / "both", list(clips), text_encoder=t5)
    both = tars(tmp_path / "both")["t5_xxl"]
    (array,) = unpickled(both["a.pickle"])
    assert array.shape == (512, 32)
    write(tmp_path / "cut", [clips[0]], text_encoder=t5, max_tokens=20)
    assert unpickled(tars(tmp_path / "cut")["t5_xxl"]["a.pickle"])[0].shape == (20, 32)
    for clip in clips:
        write(tmp_path / clip.key, [clip], text_encoder=t5)
        assert tars(tmp_path / clip.key)["t5_xxl"][f"{clip.key}.pickle"] == both[f"{clip.key}.pickle"]


def test_embeddings_come_in_other_forms_beside_or_instead(
    tree: Path, tmp_path: Path, tiny_model: Tiny
) -> None:
    t5, clips = tiny_model("t5"), read(tree)
    write(tmp_path / "out", list(clips), text_encoder=t5, text_embeddings=["pickle", "safetensors", "npz"])
    found = tars(tmp_path / "out")["t5_xxl"]
    assert list(found)[:3] == ["clip-a.pickle", "clip-a.safetensors", "clip-a.npz"]
    arrays = unpickled(found["clip-a.pickle"])
    named = load_safetensors(found["clip-a.safetensors"])
    assert [np.array_equal(named[f"{k:06d}"], arrays[k]) for k in range(2)] == [True, True]
    assert [
        np.array_equal(a, b) for a, b in zip(decoded(found["clip-a.npz"], "npz"), arrays, strict=True)
    ] == [
        True,
        True,
    ]
    write(tmp_path / "one", list(clips), text_encoder=t5, text_embeddings="safetensors")
    assert set(tars(tmp_path / "one")["t5_xxl"]) == {f"clip-{k}.safetensors" for k in "abcd"}


def test_without_encoder_there_is_no_third_tree(tree: Path, tmp_path: Path) -> None:
    result = write(tmp_path / "out", list(read(tree)), text_encoder="none")
    assert list(tars(tmp_path / "out")) == ["metas", "video"]
    assert len(result.files) == 2


def test_an_encoder_that_is_not_here_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="google-t5/t5-11b") as caught:
        open_writer(Location(tmp_path), "video-shards")
    assert "sluice models fetch google-t5/t5-11b" in caught.value.fix


def test_parts_have_so_many_tars(tree: Path, tmp_path: Path) -> None:
    clips = read(tree)
    for number, clip in enumerate(clips):
        write(tmp_path, [clip], number, text_encoder="none", part_tars=3)
    assert [
        p.relative_to(tmp_path / f"v0/{BIN}/video").as_posix()
        for p in sorted(tmp_path.rglob("video/*/*.tar"))
    ] == [
        "part_000000/000000.tar",
        "part_000000/000001.tar",
        "part_000000/000002.tar",
        "part_000001/000000.tar",
    ]


def test_webdataset_and_tar_list_what_is_written(tree: Path, tmp_path: Path, tiny_model: Tiny) -> None:
    write(tmp_path / "out", list(read(tree)), text_encoder=tiny_model("t5"))
    folder = tmp_path / f"out/v0/{BIN}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it leaves files open
        import webdataset

        seen = {
            name: list(
                webdataset.WebDataset(str(folder / name / "part_000000/000000.tar"), shardshuffle=False)
            )
            for name in ("video", "metas", "t5_xxl")
        }
    assert [s["__key__"] for s in seen["video"]] == [f"clip-{k}" for k in "abcd"]
    assert [[s["__key__"] for s in each] for each in seen.values()] == [[f"clip-{k}" for k in "abcd"]] * 3
    assert seen["video"][0]["mp4"] == (tree / "clips/clip-a.mp4").read_bytes()
    assert len(unpickled(seen["t5_xxl"][0]["pickle"])) == 2
    listed = subprocess.run(
        ["tar", "tf", str(folder / "metas/part_000000/000000.tar")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == [f"clip-{k}.json" for k in "abcd"]


def test_what_is_written_is_read_again(tree: Path, tmp_path: Path, tiny_model: Tiny) -> None:
    before = read(tree)
    write(tmp_path / "out", list(before), text_encoder=tiny_model("t5"))
    assert detect_format(str(tmp_path / "out")) == "video-shards"
    after = read(tmp_path / "out")
    assert [told(s)[:3] for s in after] == [told(s)[:3] for s in before]
    assert {s.fields["shard_bin"] for s in after} == {BIN}
    embeddings = [s.items[-1] for s in after]
    assert [(i.modality, i.name, i.fields["windows"]) for i in embeddings] == [
        ("other", "t5_xxl.pickle", n) for n in (2, 1, 0, 1)
    ]
    assert embeddings[0].fields["tokens"] == [len(a) for a in unpickled(_bytes(embeddings[0]))]
    assert embeddings[0].fields["size"] == 32
    alone = read(tmp_path / "out", settings={"text_embeddings": False})
    assert [s.items[-1].modality for s in alone] == ["metadata"] * 4
    write(tmp_path / "again", list(after), text_encoder=tiny_model("t5"))
    assert tars(tmp_path / "again") == tars(tmp_path / "out")


def told(sample: Sample) -> tuple[Any, ...]:
    items = [
        (i.modality, i.name, i.text, dict(i.fields), i.media.read() if i.media else None)
        for i in sample.items
        if i.modality != "other"
    ]
    fields = {n: v for n, v in sample.fields.items() if n != "shard_bin"}
    return sample.key, items, fields


def _bytes(item: Item) -> bytes:
    assert item.media is not None
    return item.media.read()


def test_versions_stand_beside_each_other(tree: Path, tmp_path: Path) -> None:
    clips = read(tree)
    for version in ("v0", "v1"):
        write(tmp_path / "out", [clips[0]], text_encoder="none", annotation_version=version)
    assert [s.key for s in read(tmp_path / "out")] == ["clip-a", "clip-a"]
    (one,) = read(tmp_path / "out", settings={"annotation_version": "v1"})
    assert one.items[1].fields["annotation_version"] == "v1"


def test_measures_stand_in_the_metadata_where_asked(tree: Path, tmp_path: Path) -> None:
    table = pa.table({"id": ["1"], "key": ["clip-a"], "video_motion": [0.5]})
    write(tmp_path, [read(tree)[0]], table=table, text_encoder="none", fields_in_json=True)
    value = json.loads(tars(tmp_path)["metas"]["clip-a.json"])
    assert value["sluice"]["video_motion"] == 0.5
    assert value["windows"] == metadata("clip-a", [window(0, TEXTS[0]), window(1, TEXTS[1])])["windows"]


def test_captions_that_steps_changed_are_told_in_the_metadata(tree: Path, tmp_path: Path) -> None:
    clip = read(tree)[0]
    items = [i for i in clip.items if i.name != "caption_000.txt"]
    write(tmp_path, [Sample(clip.id, clip.key, tuple(items), clip.fields)], text_encoder="none")
    value = json.loads(tars(tmp_path)["metas"]["clip-a.json"])
    assert value["windows"] == [{"start_frame": 256, "end_frame": 512, "qwen_caption": TEXTS[1]}]
    assert value["span_uuid"] == "clip-a"


def test_clips_of_any_source_get_metadata_made(tmp_path: Path) -> None:
    media = Media(size=4, data=b"clip")
    items = (Item("video", "video/webm", "webm", media=media), Item("text", "text/plain", "txt", TEXTS[0]))
    write(tmp_path, [Sample("1", "sub/a.b", items, {"licence": "CC0"})], text_encoder="none")
    found = tars(tmp_path)
    assert list(found["video"]) == ["sub/a%2Eb.webm"]
    value = json.loads(found["metas"]["sub/a%2Eb.json"])
    assert value["licence"] == "CC0"
    assert [w["caption"] for w in value["windows"]] == [TEXTS[0]]


def _odd(*items: Item, key: str = "odd") -> Sample:
    return Sample("1", key, items)


def test_what_is_no_clip_is_left_out_of_all_trees_with_its_reason(
    tree: Path, tmp_path: Path, tiny_model: Tiny
) -> None:
    clip = read(tree)[0]
    video = clip.items[0]
    picture = Item("image", "image/png", "png", media=Media(size=1, data=b"x"))
    broken = Item("metadata", "application/json", "json", media=Media(size=1, data=b"{"))
    lost = Item("video", "video/mp4", "mp4", media=Media(uri=str(tree / "gone.mp4"), offset=0, size=3))
    cut = Item(
        "video", "video/mp4", "mp4", media=Media(uri=str(tree / "clips/clip-a.mp4"), size=3, start_s=1.0)
    )
    result = write(
        tmp_path,
        [
            _odd(*clip.items[1:], key="no-video"),
            _odd(video, video, key="two"),
            _odd(video, picture, key="picture"),
            clip,
            _odd(video, broken, key="broken"),
            _odd(lost, key="lost"),
            None,
            _odd(cut, key="cut"),
        ],
        text_encoder=tiny_model("t5"),
    )
    assert result.samples == 1
    assert result.failed == {
        0: "not one video",
        1: "not one video",
        2: "an item that the format cannot hold",
        4: "malformed JSON",
        5: "bytes not readable",
        6: "could not be read again",
        7: "a cut cannot be copied",
    }
    assert {name: list(each) for name, each in tars(tmp_path).items()} == {
        "video": ["clip-a.mp4"],
        "metas": ["clip-a.json"],
        "t5_xxl": ["clip-a.pickle"],
    }


def test_a_shard_without_bin_is_refused(tree: Path, tmp_path: Path) -> None:
    writer = open_writer(Location(tmp_path), "video-shards", text_encoder="none")
    with pytest.raises(UsageError, match="by bins"):
        writer.write_shard(0, read(tree), None)
    for name, wrong in (("annotation_version", "../v0"), ("part_tars", 0), ("text_embeddings", "parquet")):
        with pytest.raises(UsageError, match=name):
            open_writer(Location(tmp_path), "video-shards", **{"text_encoder": "none", name: wrong})


ARRAYS = st.lists(
    st.tuples(
        st.sampled_from([np.float16, np.float32, np.float64, np.int64]), st.integers(0, 4), st.integers(0, 5)
    ).map(lambda t: np.arange(t[1] * t[2], dtype=t[0]).reshape(t[1], t[2])),
    max_size=4,
)


@given(arrays=ARRAYS, form=st.sampled_from(FORMS))
def test_lists_of_arrays_come_back(arrays: list[NDArray[Any]], form: Form) -> None:
    again = decoded(encoded(arrays, form), form)
    assert [(a.dtype, a.shape, a.tolist()) for a in again] == [(a.dtype, a.shape, a.tolist()) for a in arrays]
    if form == "pickle":
        plain = unpickled(encoded(arrays, form))
        assert [(a.dtype, a.tolist()) for a in plain] == [(a.dtype, a.tolist()) for a in arrays]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickles_of_peers_are_read(protocol: int) -> None:
    arrays = [np.ones((3, 4), np.float16), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.ones(2, ">f4")]
    same = [arrays[0], *arrays]
    again = decoded(pickle.dumps(same, protocol), "pickle")
    assert [a.tolist() for a in again] == [a.tolist() for a in same]


class _Runs:
    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.place),)


def _hostile(place: Path) -> Iterator[bytes]:
    for evil in (_Runs(place), [_Runs(place)], [np.array([_Runs(place)], object)]):
        for protocol in range(6):
            yield pickle.dumps(evil, protocol)
    yield b"cos\nsystem\n(S'touch " + str(place).encode() + b"'\ntR."
    yield b"\x80\x04]\x8c\x05posix\x8c\x06system\x93\x8c\x05touch\x85R."
    yield b"cbuiltins\neval\n(S'1'\ntR."
    yield b"cnumpy\nndarray\n(J\xff\xff\xff\x7f\x85tR."  # an array of two billion, made before it is looked at
    yield b"\x80\x04r\xff\xff\xff\x7f]."  # memory for two billion things to remember
    yield b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f" + b"."  # more bytes than there are
    yield b"\x80\x04]" + b"\x94" * 10
    yield b""
    yield b"\x80"
    yield pickle.dumps([np.ones(3)])[:-20]
    yield pickle.dumps({"a": np.ones(3)})
    yield pickle.dumps([[np.ones(3)]])
    yield pickle.dumps([np.ones(3), "text"])
    yield pickle.dumps(np.ones(3))
    yield pickle.dumps([np.array(["a"])])
    yield pickle.dumps([np.float16(1)])


def test_hostile_pickles_run_nothing_and_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "touched"
    for data in _hostile(place):
        with pytest.raises(UnreadableError):
            decoded(data, "pickle")
        assert not place.exists()


@given(data=st.binary(max_size=60), form=st.sampled_from(FORMS))
def test_any_bytes_are_a_list_of_arrays_or_refused(data: bytes, form: Form) -> None:
    for each in (data, b"\x80\x04]" + data, encoded([np.ones((2, 2), np.float16)], form)[: len(data)] + data):
        try:
            found = decoded(each, form)
        except UnreadableError:
            continue
        assert all(isinstance(array, np.ndarray) for array in found)


def test_a_hostile_pickle_fails_its_clip_alone(tree: Path, tmp_path: Path, tiny_model: Tiny) -> None:
    write(tmp_path / "out", list(read(tree)), text_encoder=tiny_model("t5"))
    path = tmp_path / f"out/v0/{BIN}/t5_xxl/part_000000/000000.tar"
    known = members(path)
    known["clip-b.pickle"] = pickle.dumps([_Runs(tmp_path / "touched")])
    del known["clip-c.pickle"]
    known["clip-z.pickle"] = known["clip-a.pickle"]
    _pack(path, known)
    found = read(tmp_path / "out")
    assert [(s.key, [n.reason for n in s.notes]) for s in found] == [
        ("clip-a", []),
        ("clip-b", ["hostile pickle"]),
        ("clip-c", ["no text embeddings"]),
        ("clip-d", []),
        ("clip-z", ["no clip"]),
    ]
    assert not (tmp_path / "touched").exists()
    (path.parents[2] / "metas/part_000000/000000.tar").unlink()
    assert {n.reason for s in read(tmp_path / "out", format="video-shards") for n in s.notes} == {
        "no metadata",
        "no clip",
    }


def _pack(path: Path, known: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in known.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def tuned(tmp_path: Path) -> list[Sample]:
    """Clips for fine-tuning: 94 frames, 93, no caption, two windows, no video, 94 of two models."""
    several = window(0, TEXTS[0], "qwen_short", qwen_long_caption=TEXTS[1], pixtral_caption=TEXTS[2])
    clips = {
        "a": (rendered(64, 48, 94), [window(0, TEXTS[0])]),
        "b": (rendered(64, 48, 93), [window(0, TEXTS[0])]),
        "c": (rendered(64, 48, 94), []),
        "d": (rendered(64, 48, 94), [window(0, TEXTS[1]), window(1, TEXTS[2])]),
        "e": (b"no video", [window(0, TEXTS[0])]),
        "f": (rendered(64, 48, 94), [several]),
    }
    for key, (clip, windows) in clips.items():
        add_clip(tmp_path / "tree", key, clip, metadata(key, windows))
    return read(tmp_path / "tree")


def test_fine_tuning_has_one_caption_and_one_array_a_clip(
    tuned: list[Sample], tmp_path: Path, tiny_model: Tiny
) -> None:
    t5, out = tiny_model("t5"), tmp_path / "out"
    result = open_writer(Location(out), "video-finetuning", text_encoder=t5).write_shard(0, tuned, None)
    assert result.samples == 2
    assert {k: v for k, v in result.failed.items() if k != 4} == {
        1: "fewer than 94 frames",
        2: "no caption",
        3: "several caption windows",
    }
    assert set(result.failed) == {1, 2, 3, 4}
    files = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert files == sorted(f.path for f in result.files)
    assert files == [f"{folder}/{key}.{ending}" for folder, ending in LAYOUT for key in "af"]
    assert (out / "metas/a.txt").read_text() == TEXTS[0]
    assert (out / "videos/a.mp4").read_bytes() == rendered(64, 48, 94)
    (array,) = unpickled((out / "t5_xxl/a.pickle").read_bytes())
    assert near(array, states(t5, TEXTS[0]))


LAYOUT = (("metas", "txt"), ("t5_xxl", "pickle"), ("videos", "mp4"))


def test_fine_tuning_takes_the_first_window_and_fewer_frames_where_asked(
    tuned: list[Sample], tmp_path: Path
) -> None:
    given: dict[str, Any] = {"text_encoder": "none", "window": "first", "min_frames": 93}
    result = open_writer(Location(tmp_path / "out"), "video-finetuning", **given).write_shard(0, tuned, None)
    assert sorted(result.failed) == [2, 4]
    assert (tmp_path / "out/metas/d.txt").read_text() == TEXTS[1]
    assert not (tmp_path / "out/t5_xxl").exists()


def test_fine_tuning_by_json_has_captions_by_model_and_length(tuned: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "out"
    open_writer(Location(out), "video-finetuning", texts="captions").write_shard(0, tuned, None)
    assert json.loads((out / "captions/f.json").read_bytes()) == {
        "qwen": {"short": TEXTS[0], "long": TEXTS[1]},
        "pixtral": {"long": TEXTS[2]},
    }
    assert json.loads((out / "captions/a.json").read_bytes()) == {"qwen": {"long": TEXTS[0]}}
    said = {"pixtral": "medium"}
    open_writer(Location(out), "video-finetuning", texts="captions", lengths=said).write_shard(0, tuned, None)
    assert json.loads((out / "captions/f.json").read_bytes())["pixtral"] == {"medium": TEXTS[2]}
    assert not (out / "metas").exists()
