"""What the API's tests stand on: keys, settings, a publisher that remembers, and the API over whatever servers a test has."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from quart import Quart

from api.app import create_app
from api.migrate import look_after
from api.parts import Parts, open_parts
from api.settings import ApiSettings
from api.untold_ends import repeat_untold_ends
from store.broker import BrokerUnavailable, Publisher
from store.events import Record
from store.process import cancel

EDGE_SECRET = "a-secret-of-the-edge"
PASSWORD = "correct horse"
NOBODY = "127.0.0.1:1"  # a port on which nothing listens


def make_keys(directory: Path, kid: str = "es-test") -> dict[str, str]:
    """A key pair, and the settings that name it."""
    key = generate_private_key(SECP256R1())
    private, public = directory / "private" / f"{kid}.pem", directory / "public" / f"{kid}.pem"
    for path in (private, public):
        path.parent.mkdir(parents=True, exist_ok=True)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return {"TOKEN_SIGNING_KEY": str(private), "TOKEN_KEYS": str(public.parent)}


def make_settings(directory: Path, env: Mapping[str, str] | None = None, **more: object) -> ApiSettings:
    """Settings that name no server but those in `env`."""
    nowhere = {
        "KAFKA_SERVERS": NOBODY,
        "MONGO_URL": f"mongodb://{NOBODY}/?directConnection=true",
        "REDIS_URL": f"redis://{NOBODY}/0",
        "MYSQL_PRIMARY": f"mysql://u:p@{NOBODY}/stickyfeed",
        "MYSQL_REPLICA": f"mysql://u:p@{NOBODY}/stickyfeed",
        "EDGE_SECRET": EDGE_SECRET,
        "FRONTEND_DIR": str(directory / "dist"),
    }
    values = {**nowhere, **make_keys(directory), **(env or {})}
    return ApiSettings(**{name.lower(): value for name, value in values.items()} | more)  # type: ignore[arg-type]


class Remembering(Publisher):
    """Kafka as a list. `refusing` makes it raise as the real one does when Kafka is away."""

    def __init__(self, settings: ApiSettings, log: list[Record] | None = None) -> None:
        super().__init__(settings)
        self.log: list[Record] = [] if log is None else log
        self.refusing = False
        self.before: Callable[[], Awaitable[None]] | None = None

    async def connect(self) -> None:
        if self.refusing:
            raise BrokerUnavailable("told to refuse")

    async def publish(self, records: Sequence[Record]) -> None:
        if self.before is not None:
            await self.before()
        if self.refusing:
            raise BrokerUnavailable("told to refuse")
        self.log.extend(records)

    def events(self, actor: int) -> list[dict[str, Any]]:
        """What was told of this author, in order."""
        return [json.loads(record.value) for record in self.log if record.key == str(actor).encode()]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]
    cookies: dict[str, str]


@dataclass(frozen=True, slots=True)
class Person:
    id: int
    username: str
    token: str
    refresh_token: str


@dataclass(slots=True)
class Api:
    """An API process in this one."""

    parts: Parts
    app: Quart
    publisher: Remembering
    headers: dict[str, str] = field(default_factory=lambda: {"X-Edge-Secret": EDGE_SECRET})

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with the edge's secret; `raw` is a body as it stands."""
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        client: Any = self.app.test_client(use_cookies=False)
        answer = await client.open(
            path, method=method, data=data, headers={**self.headers, **bearer, **(headers or {})}
        )
        text = await answer.get_data()
        is_json = answer.content_type == "application/json" and text
        cookies = [line.split(";", 1)[0].split("=", 1) for line in answer.headers.getlist("Set-Cookie")]
        return Answer(
            answer.status_code,
            json.loads(text) if is_json else text,
            answer.headers,
            dict(cookies),
        )

    async def person(self, username: str | None = None) -> Person:
        """Somebody new, signed in."""
        name = username or f"u-{uuid4().hex[:12]}"
        body = {"username": name, "password": PASSWORD, "passwordConfirm": PASSWORD}
        answer = await self.call("POST", "/v1/auth/sign-up", body)
        assert answer.status == 201, answer
        return Person(answer.body["userId"], name, answer.body["token"], answer.body["refresh_token"])

    async def post(self, person: Person, text: str) -> Answer:
        return await self.call("POST", "/v1/posts", {"text": text}, token=person.token)


@asynccontextmanager
async def running_api(
    settings: ApiSettings,
    log: list[Record] | None = None,
    *,
    outbox: bool = True,
    kafka: bool = False,
) -> AsyncIterator[Api]:
    """An API process: its routes and background tasks; without `outbox` it commits and then tells nothing, as if it had died.

    With `kafka` it tells the real one that the settings name.
    """
    publisher = Remembering(settings, log)
    async with open_parts(settings, None if kafka else publisher) as parts:
        tasks = [asyncio.create_task(look_after(parts.database)), asyncio.create_task(parts.numbers.watch())]
        if outbox:
            running = (parts.outbox.run(), parts.outbox.watch(), repeat_untold_ends(parts))
            tasks += [asyncio.create_task(task) for task in running]
        try:
            async with asyncio.timeout(20):
                await parts.database.migrated.wait()
            if NOBODY in settings.mongo_url:
                parts.numbers.compared.set()  # no archive will ever answer, which is waited for at every other start
            yield Api(parts, create_app(parts), publisher)
            for task in tasks:
                assert not task.done(), task
        finally:
            await cancel(*tasks)


@pytest.fixture(scope="module")
def settings(mysql: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    """Settings that name them."""
    env = {name: value for server in mysql.values() for name, value in server.env.items() if "ADMIN" not in name}
    return make_settings(tmp_path_factory.mktemp("api"), env)


@pytest.fixture
async def api(settings: ApiSettings) -> AsyncIterator[Api]:
    """One API process."""
    async with running_api(settings) as running:
        yield running


@pytest.fixture
async def two(settings: ApiSettings) -> AsyncIterator[tuple[Api, Api]]:
    """Two API processes on one database."""
    async with running_api(settings) as one, running_api(settings) as other:
        yield one, other


def form(name: str, **change: object) -> dict[str, object]:
    return {"username": name, "password": PASSWORD, "passwordConfirm": PASSWORD, "gender": "f", **change}


async def until(true: Callable[[], object], within: float = 10.0) -> None:
    """Waits until it is so. Fails when that takes too long."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.01)
