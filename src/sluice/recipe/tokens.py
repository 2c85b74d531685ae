"""Cuts a rule's text into words, so that every later error can point at one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sluice.errors import RuleError
from sluice.recipe.expression import KEYWORDS

#: Longer rules are refused: a recipe may come from anywhere, and no honest rule is this long.
MAX_CHARACTERS = 20_000

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>(?:\d[\d_]*(?:\.\d[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?(?::\d[\d_]*(?:\.\d+)?)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<op><=|>=|<>|!=|==|=<|=>|&&|\|\||[=<>+\-*/%(),@!≥≤≠&|])
    """,
    re.VERBOSE,
)
_SAME = {"==": "=", "!=": "<>"}
_INSTEAD = {
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
    "!": "not",
    "=<": "<=",
    "=>": ">=",
    "≥": ">=",
    "≤": "<=",
    "≠": "<>",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a rule. `kind`: number, name, text, op, word (of the grammar) or end."""

    kind: str
    text: str
    at: int

    def __str__(self) -> str:
        return "the end of the rule" if self.kind == "end" else f"`{self.text}`"


def tokens(rule: str, where: str = "") -> list[Token]:
    """The words of `rule`, the last one of kind `end`. A character with no meaning here is a `RuleError`."""
    if len(rule) > MAX_CHARACTERS:
        what = f"the rule is {len(rule):,} characters long; at most {MAX_CHARACTERS:,} are read"
        raise RuleError(what, rule=rule[:60] + "…", position=60, where=where)
    found: list[Token] = []
    at = 0
    while at < len(rule):
        match = _TOKEN.match(rule, at)
        if match is None:
            raise _strange(rule, at, where)
        if match.lastgroup != "space":
            found.append(_token(match, rule, where))
        at = match.end()
    found.append(Token("end", "", len(rule)))
    return found


def _token(match: re.Match[str], rule: str, where: str) -> Token:
    kind, text, at = match.lastgroup or "", match.group(), match.start()
    if kind == "name":
        word = text.lower()
        return Token("word", word, at) if word in KEYWORDS else Token("name", text, at)
    if kind == "text":
        if "\0" in text:
            what = "a text in a rule cannot hold the NUL character"
            raise RuleError(what, rule=rule, position=at, where=where)
        return Token("text", text[1:-1].replace("''", "'"), at)
    if kind == "quoted":
        name = text[1:-1].replace('""', '"')
        if not name or "\0" in name:
            what = "a field's name cannot be empty or hold the NUL character"
            raise RuleError(what, rule=rule, position=at, where=where)
        return Token("name", name, at)
    if kind == "number":
        _refuse_unit(match, rule, where)
    if text in _INSTEAD:
        fix = f"write `{_INSTEAD[text]}`"
        what = f"`{text}` is not part of the rule language"
        raise RuleError(what, rule=rule, position=at, where=where, fix=fix)
    return Token(kind, _SAME.get(text, text), at)


def _refuse_unit(match: re.Match[str], rule: str, where: str) -> None:
    rest = rule[match.end() :]
    unit = re.match(r"[A-Za-z_µ°]+", rest)
    if unit:
        what = f"a number cannot carry a unit (`{match.group()}{unit.group()}`)"
        fix = "write the number alone, in the field's own unit (the field's name or its page says which)"
        raise RuleError(what, rule=rule, position=match.start(), where=where, fix=fix)
    if re.match(r"%\s*($|\)|,|(and|or)\b)", rest):
        what, fix = "a number cannot be a percentage", "write a share as a fraction: 0.5 for 50%"
        raise RuleError(what, rule=rule, position=match.start(), where=where, fix=fix)


def _strange(rule: str, at: int, where: str) -> RuleError:
    character = rule[at]
    if character in "'\"":
        kind = "name" if character == '"' else "text"
        what = f"this {kind} has no closing quote"
        fix = f"close it with {character}"
    else:
        what = f"the character {character!r} has no meaning in a rule"
        fix = "fields of unusual names are written in double quotes, texts in single quotes"
    return RuleError(what, rule=rule, position=at, where=where, fix=fix)
