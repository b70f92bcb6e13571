"""What a client may say on its WebSocket: a newer token, and nothing else."""

import json
import time

from store.tokens import Identity, TokenError, Verifier
from stream.frames import Frame, frame
from stream.identity import SIGNED_OUT
from stream.node import Node

_AT_MOST = 30  # messages a minute; a client renews once an hour


class Violation(Exception):
    """The client says what it must not. `code` is the WebSocket close code (RFC 6455, 7.4.1)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Inbound:
    """The client's side of one WebSocket."""

    def __init__(self, node: Node, verifier: Verifier, identity: Identity) -> None:
        self._node, self._verifier, self._identity = node, verifier, identity
        self._minute, self._said = 0.0, 0

    async def answer_to(self, message: str | bytes) -> Frame:
        """What to answer: `renewed`, or `refused` with the reason; the stream goes on either way.

        Raises Violation for what is no `{"token": ...}`, and ArchiveUnavailable when nobody can tell whether the session has ended.
        """
        now = time.monotonic()
        if now > self._minute + 60:
            self._minute, self._said = now, 0
        self._said += 1
        if self._said > _AT_MOST:
            raise Violation(1008, f"more than {_AT_MOST} messages a minute")
        if isinstance(message, bytes):
            raise Violation(1003, "binary messages are not understood here")
        token = _token_of(message)
        try:
            newer = self._verifier.verify(token)
        except TokenError as error:
            return frame("refused", {"error": error.code, "message": str(error)})
        if (newer.uid, newer.sid) != (self._identity.uid, self._identity.sid):
            return frame("refused", {"error": "token-invalid", "message": "the token is of another session"})
        if await self._node.has_ended(newer.uid, newer.sid, newer.exp):
            return frame("refused", SIGNED_OUT)
        if self._node.hub is not None:
            self._node.hub.renew(newer.uid, newer.sid, newer.exp)
        return frame("renewed", {"expires_at": newer.exp})


def _token_of(message: str) -> str:
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise Violation(1008, "the message is not JSON") from None
    if not isinstance(said, dict) or set(said) != {"token"} or not isinstance(said["token"], str):
        raise Violation(1008, 'the message is not {"token": "<jwt>"}')
    return said["token"]
