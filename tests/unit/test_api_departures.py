"""Nothing that names a user can be forgotten when the user goes."""

import re

from api import departures, session_rows
from api.migrate import MIGRATIONS, statements

# Whoever adds a column of this type says here what it is.
NO_USER = {
    "friends.seq", "outbox.id", "post_keys.post", "posts.id", "waiting_ends.outbox_id",
}  # fmt: skip
GOES_OTHERWISE = {
    "departures.user_id": "with the last of the user's rows",
    "outbox.actor": "the events of the user, which are still to be told",
    "waiting_ends.user_id": "with the event of the end, when it is told",
    "sessions.user_id": "when no row names the session any more: delete_sessions_of",
    "users.id": "with the event that says so",
}


def columns() -> dict[str, str]:
    """Every column of every table, `table.column`, with its type."""
    found = {}
    for path in sorted(MIGRATIONS.glob("*.sql")):
        for statement in statements(path.read_text()):
            table = re.search(r"\A(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE) (\w+)", statement)
            assert table, statement
            for name, type in re.findall(r"^\s+(?:ADD COLUMN )?([a-z_]+) ([A-Z]+)", statement, re.MULTILINE):
                found[f"{table[1]}.{name}"] = type
    return found


def test_every_column_that_names_a_user_is_emptied_when_the_user_goes() -> None:
    deleted = {".".join(parts) for sql in departures._ROWS for parts in re.findall(r"FROM (\w+) WHERE (\w+) = %s", sql)}
    naming = {column for column, type in columns().items() if type == "BIGINT"} - NO_USER

    assert len(deleted) == len(departures._ROWS)
    assert naming == deleted | set(GOES_OTHERWISE)


def test_every_column_that_names_a_session_is_emptied_when_the_session_goes() -> None:
    naming = {column.removesuffix(".session_id") for column in columns() if column.endswith(".session_id")}

    assert naming - {"waiting_ends"} == set(session_rows.OF_A_SESSION), "an end goes when it is told"
    assert {column for column in columns() if column.endswith("sid")} == {"outbox.sid"}, "goes when it is told"
