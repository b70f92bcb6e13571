"""The rule of user names, and when two of them are one: for whoever counts, locks, stores or looks one up."""

import re

SHORTEST, LONGEST = 3, 32
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def is_name(text: str) -> bool:
    """Whether anybody can have this name.

    Only such a text may be compared by MySQL, whose equality takes more for the same: blanks at the end, and in other character
    sets whatever looks alike.
    """
    return SHORTEST <= len(text) <= LONGEST and _NAME.fullmatch(text) is not None


def identity_of(name: str) -> str:
    """The same text for two names exactly if the table of users takes them for one: they differ in case alone."""
    return name.lower()
