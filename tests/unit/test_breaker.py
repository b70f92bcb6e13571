"""Redis that goes away in whatever way is a Redis that is away."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError

from store.breaker import Breaker

CLOSED = "unable to perform operation on <TCPTransport closed=True>; the handler is closed"


async def failed(_: Exception) -> None:
    """The library drops the connection here."""


def asked(*answers: object) -> Any:
    """Each call gives the next of them."""
    rest = iter(answers)

    async def ask() -> object:
        answer = next(rest)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


async def test_a_transport_that_closed_meanwhile_is_a_connection_that_died_and_is_replaced_at_once() -> None:
    assert await Breaker().call_with_retry(asked(RuntimeError(CLOSED), b"OK"), failed) == b"OK"

    with pytest.raises(ConnectionError):
        await Breaker().call_with_retry(asked(RuntimeError(CLOSED), RuntimeError(CLOSED)), failed)


async def test_a_fault_of_ours_stays_one() -> None:
    with pytest.raises(RuntimeError, match="ours"):
        await Breaker().call_with_retry(asked(RuntimeError("ours")), failed)
