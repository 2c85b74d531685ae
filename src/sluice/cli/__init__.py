"""The command line: thin verbs over the journey, each in a file that is imported only when it is called."""

from sluice.cli.group import main

__all__ = ["main"]
