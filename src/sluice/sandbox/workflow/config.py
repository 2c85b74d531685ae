"""A workflow as its YAML says it: phases of jobs, checked before anything runs, errors with file and line.

```yaml
probe:
  - hook: pools                       # what to do
    settings: {measures: [image_sharpness], cap: 2000}
  - {hook: train, name: baseline, takes: {pools: control}, gives: {models: baseline_models}}
refine: [...]
execute: [...]
evaluate: [...]
repeat: {max: 3, until: "verdict.gain < 0.01", phases: [refine, execute, evaluate]}
```
`takes` maps a hook's parameters to results, `gives` what it returns to the names of results; both default to equal
names. A job is named after its hook unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from sluice.errors import RecipeError, RuleError, UsageError
from sluice.recipe.grammar import parse
from sluice.recipe.load import read_text
from sluice.recipe.nearest import did_you_mean
from sluice.recipe.problems import field_names, one_error, problems
from sluice.recipe.quantities import wrong
from sluice.recipe.ready import ready_recipes
from sluice.recipe.steps import Part
from sluice.recipe.yaml_text import Document, read_yaml
from sluice.recipe.yaml_text import Path as At
from sluice.sandbox.registry import Component, Registry, registry
from sluice.sandbox.workflow.until import first_names

Phase = Literal["probe", "refine", "execute", "evaluate"]
PHASES: tuple[Phase, ...] = ("probe", "refine", "execute", "evaluate")


def _names(value: object) -> object:
    """A list of names stands for each name under itself."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


Names = Annotated[dict[str, str], BeforeValidator(_names)]


class JobConfig(Part):
    """One job: what to do, with which settings, on which results, giving which."""

    hook: str = Field(min_length=1)
    name: str = Field("", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]*)?$")
    settings: dict[str, Any] = Field(default_factory=dict)
    takes: Names = Field(default_factory=dict)
    gives: Names = Field(default_factory=dict)


class Repeat(Part):
    """Repeats phases until a condition over results holds, at most `max` times.

    `until` is a rule as in recipes (`verdict.gain < 0.01`); it is looked at after every round.
    """

    max: int = Field(ge=1)
    until: str | None = Field(None, min_length=1)
    phases: tuple[Phase, ...] = Field(("refine", "execute", "evaluate"), min_length=1)

    @field_validator("phases", mode="after")
    @classmethod
    def _in_one_piece(cls, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
        chosen = tuple(phase for phase in PHASES if phase in phases)
        first = PHASES.index(chosen[0])
        if chosen != PHASES[first : first + len(chosen)]:
            raise wrong("repeated phases must follow each other", f"their order is {', '.join(PHASES)}")
        return chosen


class _Head(Part):
    name: str | None = Field(None, min_length=1)
    output: str | None = Field(None, min_length=1)
    repeat: Repeat | None = None


@dataclass(frozen=True)
class Planned:
    """A job that was checked: its hook, its settings as the hook takes them, and where its results come from and go.

    `takes` maps parameters to results; one that the hook can do without is left out where no job gives it. `given`
    are the settings as written, `where` is the line it was written in.
    """

    name: str
    phase: Phase
    hook: Component
    settings: Mapping[str, Any]
    takes: Mapping[str, str]
    gives: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True)
class Workflow:
    """A whole workflow, checked; `output` is the folder it names for its results, if it names one."""

    jobs: tuple[Planned, ...]
    repeat: Repeat | None = None
    name: str = "workflow"
    output: str | None = None

    def of(self, phase: Phase) -> list[Planned]:
        """The jobs of one phase in their order."""
        return [job for job in self.jobs if job.phase == phase]


def load_workflow(path: str, components: Registry | None = None) -> Workflow:
    """The workflow in a YAML file, or the ready experiment of that name.

    `RecipeError` lists everything that is wrong, with file and line.
    """
    ready = ready_recipes("sandbox")
    known = Path(path).is_file() or Path(path).suffix or "://" in path or "/" in path
    if not known and path not in ready:
        fix = did_you_mean(path, ready, "ready experiments")
        raise RecipeError(f"there is no file and no ready experiment `{path}`", fix=fix)
    text, file = read_text(path if known else str(ready[path]))
    return read_workflow(text, file, components)


def read_workflow(text: str, file: str = "workflow", components: Registry | None = None) -> Workflow:
    """As `load_workflow`, from the YAML itself; `file` names it in errors."""
    document = read_yaml(text, file)
    data = document.data
    if not isinstance(data, dict):
        what = "the workflow is empty" if data is None else "a workflow is a mapping"
        raise RecipeError(what, where=document.where(()), fix="start with `probe:` and a list of jobs")
    return _Reader(document, components or registry()).read(data)


class _Reader:
    """Reads one document, collecting what is wrong with it."""

    def __init__(self, document: Document, components: Registry) -> None:
        self.document, self.components = document, components
        self.errors: list[RecipeError] = []

    def read(self, data: dict[str, Any]) -> Workflow:
        known = (*field_names(_Head), *PHASES)
        for key in data:
            if key not in known:
                fix = did_you_mean(key, known, "a workflow has")
                self.wrong(f"there is no field `{key}` in a workflow", (key,), fix)
        head = self.head({key: value for key, value in data.items() if key in field_names(_Head)})
        jobs = [job for phase in PHASES for job in self.phase(phase, data.get(phase))]
        if not jobs and not self.errors:
            self.wrong("there is no job in this workflow", (), "add one: probe: [{hook: …}]")
        placed = tuple(self.connected(jobs, head.repeat))
        if self.errors:
            raise one_error(self.errors, "workflow")
        name = head.name or Path(self.document.file).stem or "workflow"
        return Workflow(placed, head.repeat, name, head.output)

    def wrong(self, what: str, path: At, fix: str = "") -> None:
        self.errors.append(RecipeError(what, where=self.document.where(path), fix=fix))

    def head(self, data: dict[str, Any]) -> _Head:
        try:
            head = _Head.model_validate(data)
        except ValidationError as error:
            self.errors += problems(error, _Head, self.document, ())
            return _Head()
        if head.repeat and head.repeat.until:
            try:
                parse(head.repeat.until)
            except RuleError as error:
                where = self.document.where(("repeat", "until"))
                self.errors.append(
                    RuleError(
                        error.what, rule=error.rule, position=error.position, where=where, fix=error.fix
                    )
                )
                return _Head()
        return head

    def phase(self, phase: Phase, entries: object) -> Iterator[tuple[At, Planned]]:
        if entries is None:
            return
        if not isinstance(entries, list):
            self.wrong(f"`{phase}` must be a list of jobs", (phase,), "start each job with `- hook: …`")
            return
        for number, entry in enumerate(entries):
            path: At = (phase, number)
            found = self.job(phase, entry, path)
            if found is not None:
                yield path, found

    def job(self, phase: Phase, entry: object, path: At) -> Planned | None:
        entry = {"hook": entry} if isinstance(entry, str) else entry
        try:
            config = JobConfig.model_validate(entry)
        except ValidationError as error:
            self.errors += problems(error, JobConfig, self.document, path)
            return None
        try:
            hook = self.components.get("hook", config.hook)
        except UsageError as error:
            self.wrong(error.what, (*path, "hook"), error.fix)
            return None
        settings = self.settings(hook, config.settings, (*path, "settings"))
        self.known(config.takes, tuple(hook.takes), (*path, "takes"), f"{hook.name} takes no")
        self.known(config.gives, hook.gives, (*path, "gives"), f"{hook.name} gives no")
        gives = {name: config.gives.get(name, name) for name in hook.gives}
        name, where = config.name or hook.name, self.document.where(path)
        return Planned(name, phase, hook, settings, config.takes, gives, config.settings, where)

    def settings(self, hook: Component, given: dict[str, Any], path: At) -> dict[str, Any]:
        try:
            return hook.checked(given, context={"components": self.components})
        except ValidationError as error:
            self.errors += problems(error, hook.settings, self.document, path)
            return {}

    def known(self, given: Mapping[str, str], names: tuple[str, ...], path: At, told: str) -> None:
        for name in given:
            if name not in names:
                self.wrong(f"{told} `{name}`", (*path, name), did_you_mean(name, names, "it has"))

    def connected(self, jobs: list[tuple[At, Planned]], repeat: Repeat | None) -> Iterator[Planned]:
        """The jobs with all that they take; what no job gives before is an error where it is needed."""
        self.unique(jobs)
        again = repeat.phases if repeat and repeat.max > 1 else ()
        later = {name for _, job in jobs if job.phase in again for name in job.gives.values()}
        before: set[str] = set()
        for path, job in jobs:
            takes: dict[str, str] = {}
            for parameter, needed in job.hook.takes.items():
                name = job.takes.get(parameter, parameter)
                # In a later round a repeated phase sees what the round before gave.
                if name in before or (job.phase in again and name in later and not needed):
                    takes[parameter] = name
                elif needed or parameter in job.takes:
                    what = (
                        f"no job before {job.name!r} gives the result `{name}`, which {job.hook.name} takes"
                    )
                    self.wrong(what, (*path, "takes", parameter), did_you_mean(name, before, "given before"))
            before |= set(job.gives.values())
            yield replace(job, takes=takes)
        if repeat and repeat.until:
            for name in first_names(repeat.until):
                if name not in before:
                    what = f"`until` looks at the result `{name}`, which no job gives"
                    self.wrong(what, ("repeat", "until"), did_you_mean(name, before, "results"))

    def unique(self, jobs: list[tuple[At, Planned]]) -> None:
        seen: dict[str, str] = {}
        for path, job in jobs:
            if job.name in seen:
                what = f"two jobs are named {job.name!r} (the first in {seen[job.name]})"
                self.wrong(what, path, "give one of them a `name:`")
            seen.setdefault(job.name, job.where)
