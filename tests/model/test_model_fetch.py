"""Models are fetched whole, verified and only on demand; what is on this machine is told, and checked."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sluice.errors import MissingError, StorageError
from sluice.model import files
from sluice.model.cards import Card, cards
from sluice.model.fetch import fetch
from sluice.ops.text.noun_phrases import pipeline_digest

if TYPE_CHECKING:
    from model_servers import Hub

    from servers import Web

pytest_plugins = ["servers", "model_servers"]


def safetensors(values: int = 4) -> bytes:
    """A whole file of the format with one tensor of bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [values], "data_offsets": [0, values]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(values)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of models of our own, and no other cache to find anything in."""
    monkeypatch.setenv("SLUICE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "models"


def file_card(url: str, data: bytes | None, name: str = "head.bin") -> Card:
    digest = hashlib.sha256(data).hexdigest() if data is not None else None
    return Card(name="head", kind="file", licence="MIT", source=url, about="", files={name: digest})


def cli(*words: str, **env: str) -> tuple[int, dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "models", *words, "--json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_file_is_fetched_and_verified(web: Web, models: Path) -> None:
    web.files["/head.bin"] = b"weights" * 1000
    folder = fetch(file_card(f"{web.url}/head.bin", web.files["/head.bin"]))
    assert folder == models / "head"
    assert (folder / "head.bin").read_bytes() == web.files["/head.bin"]
    record = json.loads((folder / ".fetched.json").read_text())
    assert record["files"]["head.bin"]["size_bytes"] == 7000


def test_what_is_not_as_published_is_refused_and_leaves_nothing(web: Web, models: Path) -> None:
    web.files["/head.bin"] = b"something else"
    with pytest.raises(StorageError, match="another SHA-256"):
        fetch(file_card(f"{web.url}/head.bin", b"weights"))
    assert list(models.iterdir()) == []


def test_an_interrupted_download_goes_on_where_it_ended(web: Web, models: Path) -> None:
    data = os.urandom(100_000)
    web.files["/head.bin"] = data
    web.behaviour["/head.bin"] = "truncate"
    card = file_card(f"{web.url}/head.bin", data)
    with pytest.raises(StorageError, match=r"ended early|failed"):
        fetch(card)
    assert (models / "head.partial/head.bin.part").stat().st_size == 50_000
    assert not (models / "head").exists()
    web.behaviour.clear()
    assert (fetch(card) / "head.bin").read_bytes() == data


def test_a_server_that_gives_no_ranges_begins_again(web: Web, models: Path) -> None:
    data = os.urandom(10_000)
    web.files["/head.bin"] = data
    (models / "head.partial").mkdir(parents=True)
    for left, how in ((b"x" * 500, "ignore_range"), (b"x" * 20_000, "")):
        (models / "head.partial").mkdir(exist_ok=True)
        (models / "head.partial/head.bin.part").write_bytes(left)
        web.behaviour["/head.bin"] = how
        assert (fetch(file_card(f"{web.url}/head.bin", data)) / "head.bin").read_bytes() == data


def test_a_file_in_a_zip_is_taken_out_of_it(web: Web) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("head.bin", b"weights")
        archive.writestr("../escape", b"no")
    web.files["/head.zip"] = packed.getvalue()
    folder = fetch(file_card(f"{web.url}/head.zip", b"weights"))
    assert sorted(p.name for p in folder.iterdir()) == [".fetched.json", "head.bin"]
    web.files["/head.zip"] = b"no archive"
    with pytest.raises(StorageError, match="archive"):
        fetch(file_card(f"{web.url}/head.zip", b"weights"))


@pytest.mark.parametrize("how", ["forbid", "nothing there"])
def test_a_server_that_refuses_is_told_of(web: Web, how: str) -> None:
    if how == "forbid":
        web.files["/head.bin"], web.behaviour["/head.bin"] = b"weights", how
    with pytest.raises(StorageError, match="the server answers 40"):
        fetch(file_card(f"{web.url}/head.bin", b"weights"))


def test_a_model_of_the_hub_comes_without_what_is_not_loaded(hub: Hub, models: Path) -> None:
    hub.files = {
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "1_Pooling/config.json": b"{}",
        "model.safetensors": safetensors(),
        "pytorch_model.bin": b"pickle",
        "tf_model.h5": b"hdf",
        "run_me.py": b"import os",
        "checkpoint-1/model.safetensors": safetensors(9),
    }
    code, document, said = cli("fetch", "acme/tiny", HF_ENDPOINT=hub.url)
    assert code == 0, said
    folder = models / "acme/tiny"
    assert document["path"] == str(folder)
    brought = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert brought == {
        ".fetched.json",
        "config.json",
        "tokenizer.json",
        "1_Pooling/config.json",
        "model.safetensors",
    }
    assert json.loads((folder / ".fetched.json").read_text())["revision"] == hub.commit
    assert files.find("acme/tiny") == folder

    before = cli("check", "acme/tiny")
    assert before[0] == 0
    (folder / "tokenizer.json").write_bytes(b"{ }")
    code, document, _ = cli("check", "acme/tiny")
    assert code == 1
    assert document["broken"] == 1
    (found,) = document["models"]  # type: ignore[misc]
    assert "tokenizer.json" in found["flaws"][0]  # type: ignore[index]
    assert "acme/tiny" in [m["name"] for m in cli("list")[1]["models"]]  # type: ignore[index, attr-defined]


def test_pickled_weights_come_only_where_there_are_no_others(hub: Hub, models: Path) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickle", "tf_model.h5": b"hdf"}
    assert cli("fetch", "acme/tiny", HF_ENDPOINT=hub.url)[0] == 0
    assert (models / "acme/tiny/pytorch_model.bin").exists()
    hub.files = {"config.json": b"{}", "tf_model.h5": b"hdf"}
    code, document, _ = cli("fetch", "acme/tiny", HF_ENDPOINT=hub.url)
    assert code == 1
    assert "no weights" in str(document["error"])


def test_a_hub_that_sends_other_bytes_is_refused(hub: Hub, models: Path) -> None:
    hub.files = {"config.json": b"{}", "model.safetensors": safetensors()}
    hub.lies = {"model.safetensors": safetensors()[:-1] + b"\1"}
    code, document, _ = cli("fetch", "acme/tiny", HF_ENDPOINT=hub.url)
    assert code == 1
    assert "model.safetensors is not what its publisher lists" in str(document["error"])
    assert not (models / "acme/tiny").exists()


def test_a_repository_that_is_not_there_is_told_of(hub: Hub) -> None:
    code, document, _ = cli("fetch", "acme/other", HF_ENDPOINT=hub.url)
    assert code == 1
    assert "could not be fetched" in str(document["error"])
    assert cli("fetch", "no model")[0] == 2


def test_a_hub_that_does_not_answer_is_told_of() -> None:
    with socket.socket() as nobody:  # bound and never listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        code, document, said = cli("fetch", "acme/tiny", HF_ENDPOINT=endpoint)
    assert code == 1
    assert "could not be fetched" in str(document)
    assert "Traceback" not in said


def test_cards_say_where_from_and_under_which_licence() -> None:
    for card in cards().values():
        assert card.licence
        assert card.source.startswith(("hub:", "https://")), card.name
        assert card.hub or len(card.files) == 1, card.name
        assert card.kind == "transformers" or card.files, card.name
        for digest in card.files.values():
            assert digest is None or len(bytes.fromhex(digest)) == 32


def whole_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors())
    return folder


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"config.json": None}, "no config.json"),
        ({"model.safetensors": safetensors()[:-1]}, "and not the"),
        ({"model.safetensors": b""}, "no safetensors file"),
        ({"model.safetensors": b"\xff" * 100}, "no safetensors file"),
        ({"model.safetensors": None}, "no weights"),
        (
            {
                "model.safetensors.index.json": b'{"weight_map": {"a": "model.safetensors", "b": "b.safetensors"}}'
            },
            "no b.safetensors",
        ),
        ({"model.safetensors.index.json": b"{"}, "damaged"),
    ],
)
def test_a_model_that_is_not_whole_is_named_with_what_it_lacks(
    models: Path, damage: dict[str, bytes | None], said: str
) -> None:
    name = "openai/clip-vit-base-patch32"
    folder = whole_model(models / name)
    for file, data in damage.items():
        (folder / file).unlink() if data is None else (folder / file).write_bytes(data)
    with pytest.raises(MissingError, match=said) as raised:
        files.digest(name)
    assert f"sluice models fetch {name}" in raised.value.fix
    assert raised.value.where == str(folder)


def test_a_whole_model_has_the_digest_of_its_files_wherever_it_is(models: Path, tmp_path: Path) -> None:
    one, two = whole_model(models / "acme/tiny"), whole_model(tmp_path / "elsewhere")
    assert files.digest("acme/tiny") == files.digest(str(one)) == files.digest(str(two))
    (two / "other.json").write_text("{}")
    files._digest.cache_clear()
    assert files.digest(str(two)) != files.digest("acme/tiny")


def test_a_file_with_another_digest_than_published_is_refused(models: Path) -> None:
    path = models / "laion-aesthetics-mlp/sac+logos+ava1-l14-linearMSE.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other weights")
    with pytest.raises(MissingError, match="another SHA-256"):
        files.digest("laion-aesthetics-mlp")


def test_a_known_file_is_taken_by_its_name(models: Path, data_dir: Path) -> None:
    real = data_dir / "models/improved-aesthetic-predictor__sac+logos+ava1-l14-linearMSE.pth"
    place = models / "laion-aesthetics-mlp/sac+logos+ava1-l14-linearMSE.pth"
    place.parent.mkdir(parents=True)
    place.symlink_to(real)
    assert files.digest("laion-aesthetics-mlp") == files.digest(str(real))


def test_a_snapshot_in_the_hubs_cache_is_found(tmp_path: Path) -> None:
    repository = tmp_path / "hf/hub/models--Salesforce--blip-itm-base-coco"
    (repository / "refs/refs/pr").mkdir(parents=True)
    (repository / "refs/refs/pr/5").write_text("c0ffee")
    whole_model(repository / "snapshots" / "c0ffee")
    assert files.find("Salesforce/blip-itm-base-coco").name == "c0ffee"


def test_a_missing_model_says_where_it_was_looked_for_and_what_fetches_it(models: Path) -> None:
    with pytest.raises(MissingError) as raised:
        files.find("openai/clip-vit-base-patch32")
    assert str(models / "openai/clip-vit-base-patch32") in raised.value.where
    assert "sluice models fetch openai/clip-vit-base-patch32" in raised.value.fix
    assert raised.value.exit_code == 3


def test_a_check_of_a_model_that_is_not_here_says_so() -> None:
    code, document, _ = cli("check", "openai/clip-vit-base-patch32", HF_HOME=os.devnull)
    assert code == document["exit_code"] == 3
    assert "sluice models fetch openai/clip-vit-base-patch32" in str(document["fix"])


def test_a_missing_pipeline_of_spacy_names_the_command_that_installs_it() -> None:
    with pytest.raises(MissingError, match="'xx_no_such_pipeline' is not on this machine") as caught:
        pipeline_digest("xx_no_such_pipeline")
    assert "python -m spacy download xx_no_such_pipeline" in (caught.value.fix or "")


def test_a_misspelt_model_has_a_nearest_one() -> None:
    with pytest.raises(MissingError, match="did you mean 'openai/clip-vit-base-patch32'"):
        files.find("openai/clip-vit-base-patch-32")
