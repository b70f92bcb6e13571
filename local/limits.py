"""Limits by address, where all users come from one: `LIMITS=bench make up`, and tests."""

import os
from collections.abc import Mapping

BENCH: Mapping[str, str] = {"LIMIT_SIGN_IN": "1000000", "LIMIT_CONNECTIONS": "1000000"}


class UnknownLimits(ValueError):
    """LIMITS names no set of limits; the text says which there are."""


def chosen() -> Mapping[str, str]:
    """What LIMITS in the environment raises: nothing, or with `bench` what counts by address."""
    match os.environ.get("LIMITS", ""):
        case "":
            return {}
        case "bench":
            return BENCH
        case other:
            raise UnknownLimits(f"LIMITS={other} is not known: `bench` raises what is counted by address")
