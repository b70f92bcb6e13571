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
    except UnicodeDecodeError:
        raise ApiError(400, "malformed-json", "the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _Refused) else "the body is not JSON"
        raise ApiError(400, "malformed-json", why) from None
    if not isinstance(value, dict):
        raise ApiError(400, "malformed-json", "the body must be a JSON object")
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


def _first_fault(error: ValidationError) -> ApiError:
    fault = error.errors(include_url=False, include_input=False)[0]
    # A field's name comes from the client here if it is unknown: lone surrogates can't be sent back.
    field = ".".join(map(str, fault["loc"])).encode("utf-8", "replace").decode()[:64]
    if fault["type"] == "extra_forbidden":
        return ApiError(400, "unknown-field", f"there is no field {field}", field=field)
    said = {"missing": "is missing", "string_unicode": "is not valid Unicode"}.get(fault["type"])
    return invalid(field, f"{field} {said}" if said else f"{field}: {fault['msg'].removeprefix('Value error, ')}")
