"""An answer of a source that may lag, together with how far that source had come: it is read by saying how far it must be.

Redis, the archive, a replica of MySQL and a node's own tail all answer at once and may be behind. Their methods return an `AsOf`
instead of the bare answer, so that no caller can take an old answer for the truth: the type has no other way to the value than
`at_least`, and `regardless` for those who say why its age does not matter.
"""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
P = TypeVar("P", bound="Position")


class Position(Protocol):
    """How far a source has come in what it copies."""

    def has_reached(self, needed: Any, /) -> bool:
        """Whether everything up to `needed`, a position of the same kind, is in it."""


class Behind(Exception):
    """The source has not come as far as the caller needs, or does not know how far it has come."""


@dataclass(frozen=True, slots=True)
class AsOf(Generic[T, P]):
    """`position` is read before the answer: what is read afterwards may be further than the answer is.

    Where the source may be emptied or set back it is looked at after the answer, too, and is None if it has gone back.
    None is a source that cannot say how far it is: it has reached nothing.
    """

    _answer: T
    position: P | None
    source: str

    def at_least(self, needed: P) -> T:
        """The answer, if the source had reached `needed` when it gave it. Raises Behind."""
        if not self.reaches(needed):
            raise Behind(f"{self.source} is at {self.position}, and {needed} is needed")
        return self._answer

    def reaches(self, needed: P) -> bool:
        """Whether `at_least` gives the answer."""
        return self.position is not None and self.position.has_reached(needed)

    def __bool__(self) -> bool:
        raise TypeError("an answer that may be old is neither true nor false: say how far it must be")

    def regardless(self, why: str) -> T:
        """The answer, however old. `why` is for the reader of the code: the reason for which its age does not matter here."""
        assert why
        return self._answer
