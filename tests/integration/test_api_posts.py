"""Posts and friends on a real primary, replica and Redis; Kafka is a list."""

import asyncio
from typing import Any

import pytest

from api.settings import ApiSettings
from store import archive
from store.events import encode
from tests.integration.api_support import Api, api, running_api, settings, two, until

__all__ = ["api", "settings", "two"]


async def test_bad_input_of_every_kind_is_refused_and_changes_nothing(api: Api) -> None:
    person = await api.person()
    for path, raw in (
        ("/v1/posts", b"{"),
        ("/v1/posts", b'{"text":"\xff"}'),
        ("/v1/posts", b'{"text":"a","extra":1}'),
        ("/v1/posts", b'{"text":" "}'),
        ("/v1/posts", b'{"text":"' + b"a" * 1001 + b'"}'),
        ("/v1/posts", b'{"text":' + b"[" * 30_000),
        (f"/v1/friends/{person.id}", b""),
    ):
        answer = await api.call("POST", path, raw=raw, token=person.token)
        assert answer.status == 400, (path, raw[:40])
        assert set(answer.body) <= {"error", "message", "field"}
    for path in ("/v1/friends/999999999", f"/v1/friends/{2**63}", "/v1/friends/0"):
        assert (await api.call("POST", path, token=person.token)).status == 404
    assert (await api.call("POST", "/v1/friends/-1", token=person.token)).status == 404
    assert (await api.call("GET", "/v1/users?limit=9999", token=person.token)).body["field"] == "limit"

    await api.post(person, "the end")
    await until(lambda: len(api.publisher.events(person.id)) == 2)
    assert [event["type"] for event in api.publisher.events(person.id)] == ["sign-up", "post"]


async def test_a_text_comes_back_and_goes_out_as_it_was_written(api: Api) -> None:
    person = await api.person()
    text = "𝄞 \\ ' \" %s {} \u2028 \n\t<b> 你好"
    answer = await api.post(person, f"  {text} ")
    await until(lambda: len(api.publisher.events(person.id)) == 2)
    event = api.publisher.events(person.id)[1]

    assert (answer.status, answer.body["text"]) == (201, text)
    assert event["object"] == {"id": answer.body["id"], "text": text}
    assert (event["id"], event["at"]) == (answer.body["event_id"], answer.body["at"])
    assert event["actor"] == {"id": person.id, "username": person.username}


async def test_the_record_is_byte_for_byte_what_the_event_encodes_to(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def noted(event: Any) -> bytes:
        made.append(encode(event))
        return made[-1]

    monkeypatch.setattr("api.actions.encode", noted)
    person = await api.person()
    await api.post(person, "ü \\ ' \x7e")
    await until(lambda: len(api.publisher.events(person.id)) == 2)

    assert [record.value for record in api.publisher.log if record.key == str(person.id).encode()] == made


async def test_only_the_author_takes_a_post_back_and_only_once(api: Api) -> None:
    author, other = await api.person(), await api.person()
    post = (await api.post(author, "hello")).body["id"]

    assert (await api.call("DELETE", f"/v1/posts/{post}", token=other.token)).status == 404
    assert (await api.call("DELETE", f"/v1/posts/{post}", token=author.token)).status == 204
    assert (await api.call("DELETE", f"/v1/posts/{post}", token=author.token)).status == 404
    await until(lambda: len(api.publisher.events(author.id)) == 3)
    assert api.publisher.events(author.id)[2]["object"] == {"id": post}


async def test_following_is_told_once_per_change_with_a_seq_that_never_restarts(two: tuple[Api, Api]) -> None:
    api = two[0]
    me, you = await api.person(), await api.person()
    path = f"/v1/friends/{you.id}"
    statuses = [
        (await api.call(method, path, token=me.token)).status
        for method in ("DELETE", "POST", "POST", "DELETE", "DELETE", "POST")
    ]
    await until(lambda: len(api.publisher.events(me.id)) == 4)
    told = api.publisher.events(me.id)[1:]

    assert statuses == [204, 201, 200, 204, 204, 201]
    assert [(event["type"], event["object"]["seq"]) for event in told] == [
        ("follow", 1),
        ("unfollow", 2),
        ("follow", 3),
    ]
    assert told[0]["object"]["username"] == you.username
    listed = await two[1].call("GET", "/v1/friends", token=me.token)
    assert [(one["object"], one["username"]) for one in listed.body["items"]] == [("user", you.username)]


async def test_of_many_follows_of_one_pair_at_once_one_is_new(two: tuple[Api, Api]) -> None:
    me, you = await two[0].person(), await two[0].person()
    path = f"/v1/friends/{you.id}"
    answers = await asyncio.gather(*(two[i % 2].call("POST", path, token=me.token) for i in range(10)))

    assert sorted(answer.status for answer in answers) == [200] * 9 + [201]


async def test_two_who_follow_each_other_at_once_both_succeed(two: tuple[Api, Api]) -> None:
    for _ in range(5):
        a, b = await two[0].person(), await two[0].person()
        answers = await asyncio.gather(
            two[0].call("POST", f"/v1/friends/{b.id}", token=a.token),
            two[1].call("POST", f"/v1/friends/{a.id}", token=b.token),
        )

        assert [answer.status for answer in answers] == [201, 201]


async def test_one_more_than_one_may_follow_is_refused_with_the_remedy_and_changes_nothing(
    settings: ApiSettings,
) -> None:
    async with running_api(settings.model_copy(update={"limit_followees": 2})) as api:
        me, others = await api.person(), [await api.person() for _ in range(3)]
        paths = [f"/v1/friends/{other.id}" for other in others]
        answers = [await api.call("POST", path, token=me.token) for path in (*paths, paths[0])]

        assert [answer.status for answer in answers] == [201, 201, 409, 200]
        assert answers[2].body["error"] == "too-many-followees"
        assert "you follow 2 people" in answers[2].body["message"]
        assert (await api.call("DELETE", paths[0], token=me.token)).status == 204
        assert (await api.call("POST", paths[2], token=me.token)).status == 201
        await until(lambda: len(api.publisher.events(me.id)) == 5)
        told = [(event["type"], event["object"]["id"]) for event in api.publisher.events(me.id)[1:]]
        assert told == [
            ("follow", others[0].id),
            ("follow", others[1].id),
            ("unfollow", others[0].id),
            ("follow", others[2].id),
        ]


async def test_friends_are_listed_page_by_page(api: Api) -> None:
    me, others = await api.person(), [await api.person() for _ in range(5)]
    for other in others:
        await api.call("POST", f"/v1/friends/{other.id}", token=me.token)
    found: list[int] = []
    after: str | None = "0"
    while after is not None:
        page = (await api.call("GET", f"/v1/friends?limit=2&after={after}", token=me.token)).body
        found += [one["id"] for one in page["items"]]
        after = page["next"]

    assert found == [other.id for other in others]


async def test_a_feed_that_cannot_be_read_says_so_and_a_wrong_place_in_it_too(
    settings: ApiSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_TIMEOUT_MS", 500)
    async with running_api(settings) as api:
        person = await api.person()
        wrong = await api.call("GET", "/v1/feed?before=garbage", token=person.token)

        assert (wrong.status, wrong.body["field"]) == (400, "before")
        for limit in ("0", "101", "x", "-1", "1e1", "%D9%A3"):
            assert (await api.call("GET", f"/v1/feed?limit={limit}", token=person.token)).body["field"] == "limit"
        gone = await api.call("GET", "/v1/feed", token=person.token)
        assert (gone.status, gone.headers["Retry-After"]) == (503, "1")


async def test_what_somebody_has_written_is_read_page_by_page_newest_first(api: Api) -> None:
    author, reader = await api.person(), await api.person()
    made = [(await api.post(author, f"post {n}")).body for n in range(5)]
    await api.post(reader, "not theirs")
    await api.call("DELETE", f"/v1/posts/{made[2]['id']}", token=author.token)
    path = f"/v1/users/{author.id}/posts"

    pages: list[list[dict[str, Any]]] = []
    before: str | None = ""
    while before is not None:
        page = (await api.call("GET", f"{path}?limit=2{before and '&before=' + before}", token=author.token)).body
        pages.append(page["items"])
        before = page["next"]
    items = [item for page in pages for item in page]

    assert [len(page) for page in pages] == [2, 2]
    assert [item["text"] for item in items] == ["post 4", "post 3", "post 1", "post 0"]
    assert items[0] == {"object": "post", "id": made[4]["id"], "text": "post 4", "at": made[4]["at"]}
    own = (await api.call("GET", f"/v1/users/{reader.id}/posts", token=reader.token)).body
    assert [item["text"] for item in own["items"]] == ["not theirs"]
    for query in ("limit=0", "limit=101", "before=x", "before=-1"):
        assert (await api.call("GET", f"{path}?{query}", token=reader.token)).status == 400, query
    assert (await api.call("GET", "/v1/users/999999999/posts", token=reader.token)).status == 404


async def test_a_profile_counts_whom_one_follows_and_by_whom_one_is_followed_now(api: Api) -> None:
    author, reader, other = [await api.person() for _ in range(3)]
    for follower, followee in ((reader, author), (other, author), (author, other)):
        await api.call("POST", f"/v1/friends/{followee.id}", token=follower.token)
    await api.call("DELETE", f"/v1/friends/{author.id}", token=other.token)

    # Who has just written reads that, and so what was written before.
    profile = (await api.call("GET", f"/v1/users/{author.id}", token=other.token)).body
    assert (profile["followers"], profile["following"]) == (1, 1)
