"""How long to wait before starting again what has died."""

from dataclasses import dataclass

FIRST = 0.2
LONGEST = 10.0
# Whoever has been ready for this long was well: its next death is a new matter.
WELL_AFTER = 10.0
# After so many deaths in a row without having been well, the process is called failed. It is still tried.
FAILED_AFTER = 5


@dataclass(slots=True)
class Backoff:
    """Waits double from 0.2 s to 10 s while a process keeps dying, and start over once it has been well."""

    deaths: int = 0

    def after_death(self, was_ready_for: float) -> float:
        """Seconds to wait now. `was_ready_for` is 0 for a process that died before it was ready."""
        if was_ready_for >= WELL_AFTER:
            self.deaths = 0
        self.deaths += 1
        return min(FIRST * 2.0 ** min(self.deaths - 1, 16), LONGEST)

    @property
    def has_failed(self) -> bool:
        return self.deaths >= FAILED_AFTER
