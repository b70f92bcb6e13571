"""The settings of every room: read from the environment once, checked, and frozen."""

import logging
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it, its value's fault and the remedy."""


class Settings(BaseSettings):
    """What all rooms share. A name in capitals is the environment variable; a file of that name in /run/secrets also counts."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False, hide_input_in_errors=True)

    kafka_servers: str = "127.0.0.1:9092"
    kafka_topic: str = "feed.events"
    kafka_dead_topic: str = "feed.events.dead"
    kafka_partitions: Annotated[int, Field(ge=1, le=1024)] = 12
    kafka_replication: Annotated[int, Field(ge=1, le=7)] = 1
    kafka_retention_ms: Annotated[int, Field(ge=-1)] = -1
    mongo_url: str = "mongodb://127.0.0.1:27017/?directConnection=true"
    mongo_database: str = "stickyfeed"
    redis_url: str = "redis://127.0.0.1:6379/0"
    token_issuer: str = "stickyfeed"
    token_audience: str = "stickyfeed"
    token_keys: Path = Path(".local/keys/public")
    edge_secret: SecretStr = Field(min_length=16)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls) -> Self:
        """The settings of this process, which logs at their level from now on. Raises SettingsError with a line per fault."""
        secrets = Path("/run/secrets")
        try:
            settings = cls(_secrets_dir=secrets if secrets.is_dir() else None)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            raise SettingsError("wrong settings (see .env.example):\n  " + "\n  ".join(lines)) from None
        logging.getLogger().setLevel(settings.log_level)
        return settings
