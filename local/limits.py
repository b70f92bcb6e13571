"""Limits where all users come from one address, and make their follows and posts at once: `LIMITS=bench make up`, and tests."""

import os
from collections.abc import Mapping

BENCH: Mapping[str, str] = dict.fromkeys(("LIMIT_SIGN_IN", "LIMIT_CONNECTIONS", "LIMIT_WRITES"), "1000000")


class UnknownLimits(ValueError):
    """LIMITS names no set of limits; the text says which there are."""


def chosen() -> Mapping[str, str]:
    """What LIMITS in the environment raises: nothing, or with `bench` what counts by address, and writes."""
    match os.environ.get("LIMITS", ""):
        case "":
            return {}
        case "bench":
            return BENCH
        case other:
            raise UnknownLimits(f"LIMITS={other} is not known: `bench` raises what is counted by address, and writes")
