"""Which errors of MySQL mean that it cannot be had now, and which are ours."""

import asyncio

import pytest
from aiomysql import InterfaceError, InternalError, OperationalError

from api.pool import DatabaseUnavailable, Pool
from api.settings import Dsn

_NOWHERE = Dsn("127.0.0.1", 1, "u", "p", "d")


@pytest.mark.parametrize(
    "error",
    [
        *(OperationalError(code, "full") for code in (1021, 1026, 1030, 1037, 1038, 1041, 1114, 1135, 1203, 1226)),
        OperationalError(1205, "Lock wait timeout exceeded"),
        OperationalError(2013, "Lost connection"),
        InterfaceError(0, "not connected"),
        InternalError("Packet sequence number wrong"),
        ConnectionResetError(),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.args[0] if error.args else ''}",
)
async def test_a_server_that_has_no_room_or_is_gone_is_unavailable_and_asked_again(error: Exception) -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(DatabaseUnavailable):
        async with pool.answering(1):
            raise error

    assert pool.up


async def test_a_wrong_statement_stays_what_it_is() -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(OperationalError):
        async with pool.answering(1):
            raise OperationalError(1054, "Unknown column")


async def test_a_server_that_does_not_answer_in_time_is_left_alone_for_a_while() -> None:
    pool = Pool("primary", _NOWHERE)
    with pytest.raises(DatabaseUnavailable):
        async with pool.answering(0):
            await asyncio.sleep(10)

    assert not pool.up
