#!/opt/secantus/bin/python
"""`mongod --replSet NAME`: a replica set of one, which is nothing until `rs.initiate`, in front of a server without that rule.

Only OP_MSG and the `hello` commands are looked at; everything else passes as it comes (MongoDB wire protocol, OP_MSG).
"""

import argparse
import asyncio
import json
import signal
import struct
import sys
from pathlib import Path
from typing import Any

import bson

BEHIND = 27018
MARK = Path("/data/db/replica-set.json")
OP_MSG, OP_QUERY, OP_REPLY = 2013, 2004, 1
NOT_INITIATED = {
    "ok": 0.0,
    "errmsg": "no replset config has been received",
    "code": 94,
    "codeName": "NotYetInitialized",
}


def answer(set_name: str, command: dict[str, Any]) -> dict[str, Any] | None:
    """Our own answer, or None for what the server behind answers."""
    name = next(iter(command), "")
    config = json.loads(MARK.read_text()) if MARK.exists() else None
    if name == "replSetInitiate":
        if config:
            return {"ok": 0.0, "errmsg": "already initialized", "code": 23, "codeName": "AlreadyInitialized"}
        given = command[name] or {}
        MARK.write_text(json.dumps({"_id": given.get("_id", set_name), "host": given["members"][0]["host"]}))
        return {"ok": 1.0}
    if name == "replSetGetStatus":
        member = config and {"_id": 0, "name": config["host"], "health": 1.0, "state": 1, "stateStr": "PRIMARY"}
        return {"ok": 1.0, "set": config["_id"], "myState": 1, "members": [member]} if config else NOT_INITIATED
    return None


def adapted(reply: dict[str, Any]) -> dict[str, Any]:
    """What the server behind says of itself, as a member of our set."""
    config = json.loads(MARK.read_text()) if MARK.exists() else None
    for gone in ("setName", "hosts", "me", "primary", "secondary", "passives", "arbiters", "msg"):
        reply.pop(gone, None)
    if config is None:
        reply |= {"isWritablePrimary": False, "ismaster": False, "secondary": False, "isreplicaset": True}
    else:
        host = config["host"]
        reply |= {"setName": config["_id"], "setVersion": 1, "hosts": [host], "me": host, "primary": host}
        reply |= {"isWritablePrimary": True, "ismaster": True, "secondary": False}
    return reply


def document_of(code: int, body: bytes) -> tuple[dict[str, Any], int] | None:
    """The command of a message, and where in the body its document begins."""
    at = 5 if code == OP_MSG else body.index(b"\0", 4) + 1 + 8 if code == OP_QUERY else None
    if at is None or (code == OP_MSG and body[4] != 0):
        return None
    size = struct.unpack_from("<i", body, at)[0]
    return bson.decode(body[at : at + size]), at


def message(code: int, request_id: int, document: dict[str, Any]) -> bytes:
    raw = bson.encode(document)
    body = struct.pack("<iB", 0, 0) + raw if code == OP_MSG else struct.pack("<iqii", 8, 0, 0, 1) + raw
    return struct.pack("<iiii", 16 + len(body), 0, request_id, OP_MSG if code == OP_MSG else OP_REPLY) + body


async def read_message(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes, bytes]:
    head = await reader.readexactly(16)
    size, request_id, response_to, code = struct.unpack("<iiii", head)
    return request_id, response_to, code, head, await reader.readexactly(size - 16)


async def serve(set_name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", BEHIND)
    except OSError:
        writer.close()
        return
    hellos: set[int] = set()

    async def requests() -> None:
        while True:
            request_id, _, code, head, body = await read_message(reader)
            found = document_of(code, body)
            if found is not None:
                command = found[0].get("$query", found[0])
                if next(iter(command), "").lower() in ("hello", "ismaster"):
                    hellos.add(request_id)
                elif (own := answer(set_name, command)) is not None:
                    writer.write(message(code, request_id, own))
                    await writer.drain()
                    continue
            behind.write(head + body)
            await behind.drain()

    async def replies() -> None:
        while True:
            _, response_to, code, head, body = await read_message(behind_reader)
            if response_to in hellos:
                hellos.discard(response_to)
                at = 5 if code == OP_MSG else 20
                reply = adapted(bson.decode(body[at:]))
                writer.write(message(OP_MSG if code == OP_MSG else OP_QUERY, response_to, reply))
            else:
                writer.write(head + body)
            await writer.drain()

    tasks = [asyncio.create_task(requests()), asyncio.create_task(replies())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for one in (writer, behind):
        one.close()


async def main() -> int:
    given = argparse.ArgumentParser()
    given.add_argument("--replSet", required=True)
    given.add_argument("--bind_ip_all", action="store_true")
    given.add_argument("--dbpath", default="/data/db")
    options = given.parse_args()
    server = await asyncio.create_subprocess_exec(
        "/opt/secantus/bin/secantusd-py",
        *("--host", "127.0.0.1", "--port", str(BEHIND), "--storage-path", options.dbpath, "--sync-on-commit"),
        cwd=options.dbpath,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.terminate)
    front = await asyncio.start_server(lambda r, w: serve(options.replSet, r, w), "0.0.0.0", 27017)  # noqa: S104
    async with front:
        return await server.wait()


sys.exit(asyncio.run(main()))
