"""How good is the data of each pool, before anything is trained on it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from sluice.errors import SampleError, UsageError
from sluice.model import journal
from sluice.model.remote import RemoteModel
from sluice.recipe.steps import Part
from sluice.sandbox.hooks.pools import read_pools
from sluice.sandbox.hooks.train import chosen_arms
from sluice.sandbox.judge.endpoint import prefer, score
from sluice.sandbox.judge.judged import Judgement, pool_table, sample_table
from sluice.sandbox.judge.material import Material, read_texts
from sluice.sandbox.judge.proxy import proxy_among
from sluice.sandbox.judge.proxy import proxy_loss as losses
from sluice.sandbox.judge.quality import quality as classified
from sluice.sandbox.pools import CONTROL, Pool
from sluice.sandbox.registry import hook
from sluice.sandbox.workflow.job import Job
from sluice.storage import Location


class Quality(Part):
    """A classifier of texts: those in the file `good` against those of the pool `other`."""

    good: Path
    other: str = CONTROL


class Llm(Part):
    """A model behind an OpenAI-compatible endpoint that scores samples, and `pairs` of each pool with the control.

    `pictures` shows it the samples' pictures too. The others are the settings of `image_caption`.
    """

    url: str
    model: str
    pictures: bool = False
    pairs: int = Field(0, ge=0)
    max_tokens: int = Field(200, ge=1)
    temperature: float = Field(0.0, ge=0, le=2)
    api_key_env: str | None = None
    price_per_million_input: float = Field(0.0, ge=0)
    price_per_million_output: float = Field(0.0, ge=0)
    concurrency: int = Field(8, ge=1)
    timeout_s: float = Field(60.0, gt=0, le=600)
    retries: int = Field(4, ge=0, le=20)
    requests_per_minute: float | None = Field(None, gt=0)


class ProxyLoss(Part):
    """A trained proxy: the one in the folder `model`, else the control's first in the table of models."""

    model: Path | None = None


@hook(gives=("data_scores", "judged"), resumes=True)
def evaluate_data(
    job: Job,
    pools: Path,
    models: pa.Table | None = None,
    *,
    quality: Quality | None = None,
    llm: Llm | None = None,
    proxy_loss: ProxyLoss | None = None,
    arms: tuple[str, ...] = ("*",),
    per_pool: Annotated[int, Field(ge=1)] = 500,
    seed: int = 42,
) -> dict[str, Any]:
    """Judge the samples of every pool: by a quality classifier, a model behind an endpoint, a trained proxy, or all.

    `quality` gives `quality_good`, how much a sample's text reads like the good ones (Brown and others 2020). `llm`
    gives `llm_score` in [0, 1] and the four qualities behind it, and with `pairs` `llm_preferred`: how often samples
    of a pool are preferred to the control's, both orders asked. Its replies are kept: none is paid for twice.
    `proxy_loss` is what each sample costs a model that one of the built-in trainers made. At most `per_pool` samples
    of each pool are looked at. `data_scores` has the mean of each pool with a 95 % interval, `judged` every sample's
    value, or why there is none.
    """
    if quality is None and llm is None and proxy_loss is None:
        fix = "give `quality: {good: FILE}`, `llm: {url: …, model: …}` or `proxy_loss: {}`"
        raise UsageError("there is no judge", fix=fix)
    known = read_pools(pools)
    chosen = {arm: known[arm] for arm in chosen_arms(known, arms)}
    if quality is not None and quality.other not in chosen:
        raise UsageError(f"no pool is called {quality.other!r}", fix=f"there are {', '.join(chosen)}")
    material = Material.of(chosen, per_pool, seed)
    drawn = material.drawn
    job.say(f"{len(material.samples):,} samples of {len(drawn)} pools")
    said: list[Judgement] = []
    if quality is not None:
        said += _by_quality(job, quality, material)
    if proxy_loss is not None:
        model = proxy_loss.model or proxy_among(models, job.experiment)
        run = drawn[CONTROL].origin.get("run")
        said += list(losses(model.absolute(), list(material.samples), run, job.folder))
    preferred: list[pa.Table] = []
    if llm is not None:
        scored, preferred = _by_model(job, llm, material, seed)
        said += scored
    judged = sample_table(said)
    return {"data_scores": pa.concat_tables([pool_table(judged, drawn), *preferred]), "judged": judged}


def _by_quality(job: Job, settings: Quality, material: Material) -> Iterator[Judgement]:
    texts: dict[str, str] = {}
    for name, text in material.texts():
        if isinstance(text, SampleError):
            yield Judgement(name, "quality_good", None, text.reason)
        else:
            texts[name] = text
    inside = set(material.drawn[settings.other].ids.to_pylist())
    other = {name: text for name, text in texts.items() if name in inside}
    judged = classified(texts, read_texts(settings.good), other)
    job.say(f"the quality classifier tells good from other texts with an AUC of {judged.auc:.3f}")
    yield from (Judgement(name, "quality_good", value) for name, value in judged.scores.items())


def _by_model(
    job: Job, settings: Llm, material: Material, seed: int
) -> tuple[list[Judgement], list[pa.Table]]:
    journal.use(Location(job.experiment))
    asked = settings.model_dump(exclude={"pictures", "pairs", "max_tokens"})
    model = RemoteModel(max_tokens=settings.max_tokens, asked={}, **asked).open()
    show = material.with_pictures if settings.pictures else material.text_only
    said = list(score(model, list(material.samples), show))
    preferred = []
    for name, pool in material.drawn.items():
        if settings.pairs and name != CONTROL:
            pairs = _pairs(pool, material.drawn[CONTROL], settings.pairs, seed)
            won = sample_table(prefer(model, pairs, show))
            preferred.append(pool_table(won, {name: pool}))
    return said, preferred


def _pairs(pool: Pool, control: Pool, count: int, seed: int) -> list[tuple[str, str]]:
    """Seeded pairs of a sample of the pool and one of the control, none with itself, none twice."""
    ours, theirs = (list(dict.fromkeys(each.ids.to_pylist())) for each in (pool, control))
    generator = np.random.default_rng(seed)
    generator.shuffle(ours)
    generator.shuffle(theirs)
    return [(a, b) for a, b in zip(ours, theirs, strict=False) if a != b][:count]
