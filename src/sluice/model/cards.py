"""The models that Sluice knows by name: licence, origin and published digests, from `cards.yaml`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict


class Card(BaseModel):
    """What is known of a model before it is on this machine.

    `kind` says how it is used: a folder that transformers loads, or single files. `licence` says under which
    terms (of the weights, as their publisher states them), `source` where they are published: a Hugging Face
    repository (`hub:owner/name`, `hub:owner/name@revision`), the address of one file, or of a zip that holds
    it. `files` gives the SHA-256 of each file where the publisher or we have recorded it, else null. `about`
    says what it is for in a sentence, `size_bytes` about how much a fetch brings. `preprocessing` says what is
    done to an input where no file of the model says it, `dtype` in which precision the weights are published.
    `package` names a folder inside an installed Python package that carries the same files, so that nothing
    needs to be fetched.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["transformers", "file"]
    licence: str
    source: str
    about: str
    files: dict[str, str | None] = {}
    size_bytes: int | None = None
    preprocessing: str = ""
    dtype: str = ""
    package: str | None = None

    @property
    def hub(self) -> tuple[str, str] | None:
        """Hugging Face repository and revision; None for what is published elsewhere."""
        if not self.source.startswith("hub:"):
            return None
        repository, _, revision = self.source.removeprefix("hub:").partition("@")
        return repository, revision or "main"


@cache
def cards() -> dict[str, Card]:
    """Every known model by name, in the order of the file."""
    text = (files("sluice.model") / "cards.yaml").read_text(encoding="utf-8")
    return {name: Card(name=name, **data) for name, data in yaml.safe_load(text).items()}
