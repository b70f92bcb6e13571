"""The one error that a request can end with, and its form as JSON. Nothing of our inside ever gets into it."""

import logging
from http import HTTPStatus

from quart import Quart, Response, json
from werkzeug.exceptions import HTTPException

from api.pool import DatabaseUnavailable
from store.cursor import BadCursor
from store.feed import FeedUnavailable
from store.tokens import TokenError

log = logging.getLogger(__name__)

_RETRY_AFTER = 1
_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    413: "body-too-large",
}


class ApiError(Exception):
    """What the client did wrong, or why we can't serve it now; `field` names the part of the request that is at fault."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field, self.retry_after = status, code, message, field, retry_after


def invalid(field: str, message: str) -> ApiError:
    """A part of the request breaks a rule that the message states."""
    return ApiError(400, "invalid", message, field=field)


def not_found(what: str) -> ApiError:
    """There is no such thing, or it is not yours."""
    return ApiError(404, "not-found", f"there is no such {what}")


def error_response(error: ApiError) -> Response:
    """The error as {"error", "message", "field"?}."""
    body = {"error": error.code, "message": error.message}
    if error.field is not None:
        body["field"] = error.field
    response = Response(json.dumps(body), error.status, content_type="application/json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def add_error_handlers(app: Quart) -> None:
    """Makes every failure of a request an error in JSON, whatever it was."""

    @app.errorhandler(ApiError)
    async def _ours(error: ApiError) -> Response:
        return error_response(error)

    @app.errorhandler(TokenError)
    async def _token(error: TokenError) -> Response:
        return error_response(ApiError(401, error.code, str(error)))

    @app.errorhandler(BadCursor)
    async def _cursor(error: BadCursor) -> Response:
        return error_response(invalid("before", str(error)))

    @app.errorhandler(DatabaseUnavailable)
    @app.errorhandler(FeedUnavailable)
    async def _unavailable(error: Exception) -> Response:
        log.warning("answered 503: %s", error)
        message = "this cannot be done right now; nothing is lost, try again in a moment"
        return error_response(ApiError(503, "unavailable", message, retry_after=_RETRY_AFTER))

    @app.errorhandler(HTTPException)
    async def _http(error: HTTPException) -> Response:
        status = error.code or 500
        response = error_response(ApiError(status, _CODES.get(status, "bad-request"), HTTPStatus(status).phrase))
        if error.response is None and (allowed := getattr(error, "valid_methods", None)):
            response.headers["Allow"] = ", ".join(allowed)
        return response

    @app.errorhandler(Exception)
    async def _bug(error: Exception) -> Response:
        log.error("a request failed by our fault", exc_info=error)
        return error_response(ApiError(500, "internal", "this failed by a fault of ours, and has been noted"))
