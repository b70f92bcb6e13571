"""What requests carry: JSON bodies and query values, made into values at the door or refused there."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from quart import request

from api.errors import ApiError, invalid

MAX_BYTES = 64 * 1024


class Body(BaseModel):
    """The base of every body: exact types, no unknown fields, and no error that repeats what was sent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


M = TypeVar("M", bound=Body)


async def read_body(model: type[M]) -> M:
    """The request's body, read as JSON whatever its Content-Type says. Raises ApiError 400."""
    return parse(await read_raw(), model)


async def read_raw() -> bytes:
    """The request's body as it came."""
    raw = await request.get_data()
    return raw.encode() if isinstance(raw, str) else raw


def parse(raw: bytes, model: type[M]) -> M:
    """The bytes as a value. Raises ApiError 400 naming the first field that is wrong."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        wrong = [name for name in value if not _is_unicode([name, value[name]])] if isinstance(value, dict) else []
    except UnicodeDecodeError:
        raise ApiError(400, "malformed-json", "the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _Refused) else "the body is not JSON"
        raise ApiError(400, "malformed-json", why) from None
    if not isinstance(value, dict):
        raise ApiError(400, "malformed-json", "the body must be a JSON object")
    if wrong:
        raise invalid(_sayable(wrong[0]), f"{_sayable(wrong[0])} is not valid Unicode")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _first_fault(error) from None


def query_int(name: str, default: int, low: int, high: int) -> int:
    """A number from the query. Raises ApiError 400 if it is none, or out of bounds."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise invalid(name, f"{name} must be a number between {low} and {high}")
    return int(text)


class _Refused(ValueError):
    pass


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Refused("a field appears twice in the body")
    return value


def _no_constant(name: str) -> None:
    raise _Refused(f"{name} is not JSON")


def _is_unicode(value: object) -> bool:
    """Whether no text in it, at any depth, holds half a surrogate pair: JSON can escape one, UTF-8 cannot hold it."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _sayable(name: str) -> str:
    """A field's name comes from the client if it is unknown: lone surrogates can't be sent back, and nobody reads more of it."""
    return name.encode("utf-8", "replace").decode()[:64]


def _first_fault(error: ValidationError) -> ApiError:
    fault = error.errors(include_url=False, include_input=False)[0]
    field = _sayable(".".join(map(str, fault["loc"])))
    if fault["type"] == "extra_forbidden":
        return ApiError(400, "unknown-field", f"there is no field {field}", field=field)
    if fault["type"] == "missing":
        return invalid(field, f"{field} is missing")
    return invalid(field, f"{field}: {fault['msg'].removeprefix('Value error, ')}")
