"""How does a text lose personal data?"""

from typing import Annotated

from pydantic import Field as Setting

from sluice.operator import mapper
from sluice.ops.text.pii import PersonalData, replaced


@mapper(version=1, cost="header")
def text_redact_pii(
    text: str,
    *,
    kinds: Annotated[tuple[PersonalData, ...], Setting(min_length=1)] = ("email", "ip", "card", "phone"),
    replacement: str = "<{kind}>",
) -> str:
    """The text with e-mail addresses, IP addresses, card and phone numbers replaced, each by its kind.

    `kinds` are looked for in their order; in `replacement` the word `{kind}` stands for the kind (`<email>`).
    Patterns are those that are counted (`sluice.ops.text.pii`: RFC 5321, RFC 4291, ISO/IEC 7812 with Luhn's
    check, E.164 and North American numbers), so that names, streets, and numbers written otherwise stay: no
    pattern makes a text anonymous.
    """
    for kind in kinds:
        text = replaced(kind, text, replacement.replace("{kind}", kind))
    return text
