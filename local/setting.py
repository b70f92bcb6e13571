"""Numbers that the environment may name."""

import os


class WrongSetting(ValueError):
    """It is no number; the text says which setting, and what stands there."""


def seconds(name: str, usual: int) -> int:
    """What the environment says, else the usual. Raises WrongSetting."""
    text = os.environ.get(name) or str(usual)
    if not text.isdecimal():
        raise WrongSetting(f"{name}={text} is not a number of seconds")
    return int(text)
