"""What models behind endpoints are asked about data, as files beside this one."""

from importlib.resources import files


def question(name: str) -> str:
    """The text of `score` or `prefer`."""
    return (files(__name__) / f"{name}.txt").read_text(encoding="utf-8").strip()
