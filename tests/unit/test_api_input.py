"""What a request may carry."""

import pytest
from pydantic import ValidationError

from api import app
from api.accounts import SignUp
from api.bodies import Body, parse
from api.errors import ApiError
from api.posts import NewPost
from api.settings import Dsn

GOOD = '"username":"tester","password":"1234567890","passwordConfirm":"1234567890"'


def refused(raw: bytes, model: type[Body]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(raw, model)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"username=tester",
        b"[]",
        b'"text"',
        b"null",
        b"{" + GOOD.encode() + b"} x",
        b'{"text":"\xff"}',
        b'{"text":"a","text":"b"}',
        b'{"text":NaN}',
        b'{"text":1e999999999999999999999}',
        b'{"text":' + b"9" * 5000 + b"}",
        b"[" * 60_000,
        b'{"text":' * 10_000,
        "{}".encode("utf-16"),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_not_one_json_object_without_repeats_is_refused(raw: bytes) -> None:
    assert refused(raw, NewPost).code in ("malformed-json", "invalid")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ('"username":"ab"', "username"),
        ('"username":"' + "a" * 33 + '"', "username"),
        ('"username":"with space"', "username"),
        ('"username":"tester\\n"', "username"),
        ('"username":"n\\u00e4me"', "username"),
        ('"username":7', "username"),
        ('"username":null', "username"),
        ('"password":"1234567"', "password"),
        ('"password":"' + "p" * 129 + '"', "password"),
        ('"password":"\\ud800 lone surrogate"', "password"),
        ('"passwordConfirm":"another one"', "passwordConfirm"),
        ('"gender":"z"', "gender"),
        ('"gender":true', "gender"),
    ],
)
def test_a_wrong_field_is_named(change: str, field: str) -> None:
    name = change.split(":", maxsplit=1)[0]
    kept = ",".join(pair for pair in GOOD.split(",") if not pair.startswith(name))
    error = refused(f"{{{kept},{change}}}".encode(), SignUp)

    assert (error.code, error.field) == ("invalid", field)
    assert "pydantic" not in error.message


@pytest.mark.parametrize("name", ["username", "password", "passwordConfirm"])
def test_a_missing_field_is_named(name: str) -> None:
    kept = ",".join(pair for pair in GOOD.split(",") if not pair.startswith(f'"{name}"'))

    assert refused(f"{{{kept}}}".encode(), SignUp).field == name


def test_an_unknown_field_is_named_if_its_name_can_be_said() -> None:
    assert refused(f'{{{GOOD},"admin":true}}'.encode(), SignUp).field == "admin"
    assert refused(f'{{{GOOD},"\\ud800":true}}'.encode(), SignUp).message.encode()


def fields_of_all_bodies() -> list[tuple[type[Body], str]]:
    """Every field of every model that a route reads; the app imports them all."""
    assert app.create_app is not None
    models, found = [Body], []
    while models:
        models += (model := models.pop()).__subclasses__()
        found += [(model, field) for field in model.model_fields]
    return found


@pytest.mark.parametrize(
    ("model", "field"), fields_of_all_bodies(), ids=lambda part: part if isinstance(part, str) else part.__name__
)
@pytest.mark.parametrize("inside", ["%s", "[%s]", '{"a":[%s]}', '{%s:"a"}'])
@pytest.mark.parametrize("half", [r"\ud83d", r"\udc00", r"\udc00\ud83d"])
def test_a_text_that_is_not_unicode_is_refused_in_every_field_of_every_body(
    model: type[Body], field: str, inside: str, half: str
) -> None:
    body = '{"%s":%s}' % (field, inside % f'"half {half}"')  # noqa: UP031
    error = refused(body.encode(), model)

    assert (error.code, error.field, error.message) == ("invalid", field, f"{field} is not valid Unicode")


def test_a_whole_pair_is_one_character() -> None:
    assert parse(rb'{"text":"\ud83d\ude00"}', NewPost).text == "\U0001f600"


def test_an_error_never_repeats_what_was_sent() -> None:
    error = refused(b'{"username":"tester","password":"s3cret","passwordConfirm":"s3cret"}', SignUp)

    assert "s3cret" not in repr(error) + error.message


def test_a_good_sign_up_is_a_value() -> None:
    assert parse(f'{{{GOOD},"gender":null}}'.encode(), SignUp).gender is None
    assert parse(f'{{{GOOD},"gender":"x"}}'.encode(), SignUp).username == "tester"


@pytest.mark.parametrize("text", ["", "   \n ", "a" * 1001, "a\x00b", "a\x1bb", "a\rb", "a\x7fb", "a\x85b"])
def test_a_text_that_is_empty_or_too_long_or_holds_control_characters_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        NewPost(text=text)


@pytest.mark.parametrize(
    "text", ["a", "a" * 1000, " \n" + "𝄞" * 1000 + " ", "line\nand\ttab", "<script>alert(1)</script>"]
)
def test_a_text_of_1_to_1000_characters_is_kept_without_the_space_around_it(text: str) -> None:
    assert NewPost(text=text).text == text.strip()


@pytest.mark.parametrize(
    "text", ["", "http://u:p@h/d", "mysql://h/d", "mysql://u:p@h", "mysql://u:p@h:99999/d", "mysql://u:p@h:x/d"]
)
def test_what_is_not_the_address_of_a_mysql_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Dsn.parse(text)


def test_the_address_of_a_mysql_server_is_taken_apart_and_never_shows_its_password() -> None:
    dsn = Dsn.parse("mysql://user:p%40ss@db.local:3307/feed")

    assert (dsn.host, dsn.port, dsn.user, dsn.password, dsn.database) == ("db.local", 3307, "user", "p@ss", "feed")
    assert "p@ss" not in repr(dsn)
