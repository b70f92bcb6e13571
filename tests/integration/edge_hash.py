"""HAProxy's consistent hash, `balance hash` with `hash-type consistent sdbm avalanche`, to ask about more users than can be sent.

It is only worth what the comparison with a real HAProxy says (test_edge_nodes.py).
"""

import bisect
from collections.abc import Iterable
from functools import cache

_POINTS = 4096  # of a server of weight 256
_ALL = 0xFFFFFFFF


def _avalanche(value: int) -> int:
    """Bob Jenkins' full avalanche, spread by a prime close to 3/4 of the range."""
    value = (value + 0x7ED55D16 + (value << 12)) & _ALL
    value = (value ^ 0xC761C23C ^ (value >> 19)) & _ALL
    value = (value + 0x165667B1 + (value << 5)) & _ALL
    value = ((value + 0xD3A2646C) ^ (value << 9)) & _ALL
    value = (value + 0xFD7046C5 + (value << 3)) & _ALL
    value = (value ^ 0xB55A4F09 ^ (value >> 16)) & _ALL
    return value * 3221225473 & _ALL


def _key(text: str) -> int:
    key = 0
    for byte in text.encode():
        key = (byte + (key << 6) + (key << 16) - key) & _ALL
    return _avalanche(key)


@cache
def _points(server: int) -> tuple[int, ...]:
    return tuple(_avalanche(server * _POINTS + point) for point in range(_POINTS))


def nodes_of(uids: Iterable[int], servers: Iterable[int]) -> dict[int, int]:
    """The server of each user, when those with these ids are up: the one whose point is nearest."""
    ring = sorted((point, server) for server in servers for point in _points(server))
    places = [point for point, _ in ring]
    found = {}
    for uid in uids:
        key = _key(str(uid))
        after = bisect.bisect_left(places, key)
        above, below = after % len(ring), (after - 1) % len(ring)
        nearer_below = (key - places[below]) & _ALL < (places[above] - key) & _ALL
        found[uid] = ring[below if nearer_below else above][1]
    return found
