"""Whom a user follows, in six bytes each where a dict takes eighty: most of what an idle stream costs a node."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Self

from store.events import FollowChange

_CODES = ("B", "H", "I", "q")  # unsigned 8, 16 and 32 bits, and 63; Linux on 64 bits


class Follows(MutableMapping[int, int]):
    """Followee to `seq`, like a dict, ascending by followee."""

    __slots__ = ("_followees", "_seqs")

    def __init__(self, follows: Mapping[int, int] | None = None) -> None:
        given = sorted(follows.items()) if follows else []
        self._followees = _narrowed(array("q", [followee for followee, _ in given]))
        self._seqs = _narrowed(array("q", [seq for _, seq in given]))

    @classmethod
    def of(cls, followees: "array[int]", seqs: "array[int]") -> Self:
        """Followees, in any order and each once, and the `seq` of each."""
        if any(map(int.__gt__, followees, followees[1:])):
            return cls(dict(zip(followees, seqs, strict=True)))
        made = cls.__new__(cls)
        made._followees, made._seqs = _narrowed(followees), _narrowed(seqs)
        return made

    @property
    def bytes(self) -> int:
        """What the numbers take."""
        return len(self) * (self._followees.itemsize + self._seqs.itemsize)

    def copy(self) -> Self:
        """One that can be changed by itself."""
        made = type(self).__new__(type(self))
        made._followees, made._seqs = self._followees[:], self._seqs[:]
        return made

    def __len__(self) -> int:
        return len(self._followees)

    def __iter__(self) -> Iterator[int]:
        return iter(self._followees)

    def __getitem__(self, followee: int) -> int:
        at = self._at(followee)
        if at is None:
            raise KeyError(followee)
        return self._seqs[at]

    def __contains__(self, followee: object) -> bool:
        return isinstance(followee, int) and self._at(followee) is not None

    def __setitem__(self, followee: int, seq: int) -> None:
        at = bisect_left(self._followees, followee)
        self._followees, self._seqs = _wide_enough(self._followees, followee), _wide_enough(self._seqs, seq)
        if at < len(self) and self._followees[at] == followee:
            self._seqs[at] = seq
        else:
            self._followees.insert(at, followee)
            self._seqs.insert(at, seq)

    def __delitem__(self, followee: int) -> None:
        at = self._at(followee)
        if at is None:
            raise KeyError(followee)
        del self._followees[at], self._seqs[at]

    def apply(self, change: FollowChange) -> None:
        """The change, unless a newer one of the pair is known."""
        if change.seq >= self.get(change.followee, 0):
            if change.on:
                self[change.followee] = change.seq
            else:
                self.pop(change.followee, None)

    def __repr__(self) -> str:
        return f"Follows({dict(self)})"

    def _at(self, followee: int) -> int | None:
        at = bisect_left(self._followees, followee)
        return at if at < len(self._followees) and self._followees[at] == followee else None


def _narrowed(values: "array[int]") -> "array[int]":
    return array(_code_for(max(values, default=0)), values)


def _wide_enough(values: "array[int]", value: int) -> "array[int]":
    code = _code_for(value)
    return values if _CODES.index(code) <= _CODES.index(values.typecode) else array(code, values)


def _code_for(value: int) -> str:
    return "B" if value < 2**8 else "H" if value < 2**16 else "I" if value < 2**32 else "q"
