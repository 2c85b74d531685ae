"""How does a text lose its e-mail addresses?"""

from sluice.operator import mapper
from sluice.ops.text.pii import replaced


@mapper(version=1, cost="header")
def text_remove_emails(text: str, *, replacement: str = "") -> str:
    """The text with each e-mail address replaced by `replacement`, by default nothing.

    What counts as an address is what `sluice.ops.text.pii` takes for one (RFC 5321, labels as in RFC 1035);
    none is left in the new text.
    """
    return replaced("email", text, replacement)
