"""The settings of the API."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from store.settings import Settings


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where a MySQL server is and who we are there. Its text never holds the password."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """`mysql://user:password@host:port/database`, user and password percent-encoded where needed. Raises ValueError."""
        if isinstance(text, cls):
            return text
        url = urlsplit(str(text))
        database = url.path.removeprefix("/")
        if url.scheme != "mysql" or not url.hostname or not url.username or not database:
            raise ValueError("expected mysql://user:password@host:port/database")
        return cls(url.hostname, url.port or 3306, unquote(url.username), unquote(url.password or ""), database)


ParsedDsn = Annotated[Dsn, NoDecode, BeforeValidator(Dsn.parse)]


class ApiSettings(Settings):
    """What only the API needs. Lives are in seconds."""

    api_bind: Annotated[str, Field(pattern=r"^.+:\d{1,5}$")] = "127.0.0.1:8101"
    mysql_primary: ParsedDsn
    mysql_replica: ParsedDsn
    token_signing_key: Path
    token_life: Annotated[int, Field(ge=1, le=86_400)] = 3600
    refresh_life: Annotated[int, Field(ge=1)] = 2_592_000
    limit_tries: Annotated[int, Field(ge=1)] = 10
    limit_tries_window: Annotated[int, Field(ge=1, le=86_400)] = 60
    limit_refresh: Annotated[int, Field(ge=1)] = 30
    limit_refresh_window: Annotated[int, Field(ge=1, le=86_400)] = 60
    limit_followees: Annotated[int, Field(ge=1)] = 5000
    frontend_dir: Path = Path("frontend/dist")
    cookie_secure: bool = False

    @field_validator("refresh_life")
    @classmethod
    def _outlives_its_tokens(cls, life: int, fields: ValidationInfo) -> int:
        if life < fields.data.get("token_life", 0):
            raise ValueError(
                "must be at least TOKEN_LIFE: a session is taken out when its refresh token expires, and a token that is still good"
                " would open nothing"
            )
        return life
