"""Whom a stream's user follows, in six bytes each where a dict takes eighty: most of what an idle stream costs a node."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, MutableMapping

_CODES = ("B", "H", "I", "q")  # unsigned 8, 16 and 32 bits, and 63; Linux on 64 bits


class Follows(MutableMapping[int, int]):
    """Followee to `seq`, like a dict, ascending by followee."""

    __slots__ = ("_followees", "_seqs")

    def __init__(self, follows: Mapping[int, int] | None = None) -> None:
        given = sorted(follows.items()) if follows else []
        self._followees = _packed([followee for followee, _ in given])
        self._seqs = _packed([seq for _, seq in given])

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

    def __repr__(self) -> str:
        return f"Follows({dict(self)})"

    def _at(self, followee: int) -> int | None:
        at = bisect_left(self._followees, followee)
        return at if at < len(self._followees) and self._followees[at] == followee else None


def _packed(values: list[int]) -> "array[int]":
    return array(_code_for(max(values, default=0)), values)


def _wide_enough(values: "array[int]", value: int) -> "array[int]":
    code = _code_for(value)
    return values if _CODES.index(code) <= _CODES.index(values.typecode) else array(code, values)


def _code_for(value: int) -> str:
    return "B" if value < 2**8 else "H" if value < 2**16 else "I" if value < 2**32 else "q"
