"""A member of the crowd: somebody who acts at random and notes what was answered, with a page open."""

import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.e2e.people import PASSWORD, Person
from tests.faults.asking import Asking
from tests.faults.deeds import Deed, Key, Tally, key_of, now_as_events_have_it
from tests.faults.pages import Page


@dataclass(
    eq=False, repr=False
)  # a repr would walk along every path through the crowd; asyncio asks for one of what a fixture gives
class Member:
    """`steady` are followed all the time; about the `fickle` ones the member changes their mind. `since`: followed for sure."""

    person: Person
    page: Page
    tally: Tally
    steady: list["Member"] = field(default_factory=list)
    fickle: list["Member"] = field(default_factory=list)
    since: dict[int, float] = field(default_factory=dict)
    deeds: list[Deed] = field(default_factory=list)
    fickleness: float = 0.15  # the share of deeds that are changes of mind
    began: str = ""  # the time of the first deed that counts, as events have it
    _posts: list[tuple[int, str]] = field(default_factory=list)  # that can be taken back
    _back: set[str] = field(default_factory=set)  # texts of those that were, or may have been, taken back
    _number: int = 0
    _elsewhere: str = ""  # the token of a second session
    _guests: list[Deed] = field(default_factory=list)  # how those have left whom the member had brought and followed

    _brought: set[int] = field(default_factory=set)  # all guests there ever were

    def __post_init__(self) -> None:
        self._ask = Asking(self.person, self.tally)

    @property
    def id(self) -> int:
        return self.person.id

    def turn_over(self, now: str) -> None:
        """A new leaf: what was done until now counts no more."""
        self.page.turn_over()
        self.deeds, self._posts, self._back, self._guests, self.began = [], [], set(), [], now

    async def act(self) -> None:
        """Does one thing, again and again until it is done for sure: a post is sent again with the same Idempotency-Key."""
        what: Sequence[Callable[[], Awaitable[None]]] = (
            self._post,
            self._take_back,
            self._look,
            self._turn_session,
            self._see_a_guest_leave,
        )
        if random.random() < self.fickleness:
            await self._change_mind()
        else:
            await random.choices(what, (64, 8, 8, 4, 1))[0]()

    async def follow(self, other: "Member") -> None:
        await self._ask.until(("POST", f"/v1/friends/{other.id}"), 200, 201)
        self.since[other.id] = time.monotonic()

    async def unfollow(self, other: "Member") -> None:
        del self.since[other.id]
        await self._ask.until(("DELETE", f"/v1/friends/{other.id}"), 204)

    async def feed(self) -> list[dict[str, Any]]:
        """The events of the feed that are of this leaf, newest first, page by page."""
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 100}
        while True:
            body = (await self._ask.until(("GET", "/v1/feed"), 200, params=query)).json()
            items += [event for event in body["items"] if event["at"] >= self.began]
            if body["next"] is None or body["items"][-1]["at"] < self.began:
                return items
            query["before"] = body["next"]

    def due(self, before: float) -> list[Deed]:
        """What must have come to the page of all that was answered `before`: the deeds of those followed then and ever since."""
        left = [deed for deed in self._guests if deed.answered is not None and deed.answered < before]
        return left + [
            deed
            for other in (self, *self.steady, *self.fickle)
            for since in [self.since.get(other.id) if other is not self else 0.0]
            if since is not None
            for deed in other.deeds
            if deed.began > since and deed.answered is not None and deed.answered < before
        ]

    def order(self) -> list[Key]:
        """Keys of the events of what the member has done for sure, in the order of doing."""
        done = [deed for deed in self.deeds if deed.answered is not None]
        shown = sorted(key for key in self.page.came if key[0] in ("login", "logout"))
        return [key for deed in done for key in ([deed.key] if deed.when is None else shown) if deed.is_told_by(key)]

    def due_in_feed(self, before: float) -> set[Key]:
        """What must be in the feed of all that was answered `before`: everything of everybody followed by then and still."""
        return {
            deed.key
            for other in self._followed()
            if other is self or self.since[other.id] < before
            for deed in other.deeds
            if deed.key[0] == "post"
            and deed.answered is not None
            and deed.answered < before
            and deed.key[1] not in other._back
        }

    def check_feed(self, items: list[dict[str, Any]]) -> None:
        """Nothing twice, nothing of strangers, nothing that was taken back, newest first, each author's in their order."""
        ids = [item["id"] for item in items]
        assert ids == sorted(set(ids), reverse=True), "an event is twice in the feed, or out of order"
        assert {item["actor"]["id"] for item in items} <= {other.id for other in self._followed()}, "of a stranger"
        shown = [key for item in reversed(items) if item["type"] == "post" and (key := key_of(item))]
        assert len(shown) == len(set(shown)), "a post was made twice"
        for other in self._followed():
            order = [deed.key for deed in other.deeds if deed.answered is not None and deed.key[0] == "post"]
            place = {key: at for at, key in enumerate(order)}
            came = [place[key] for key in shown if key in place]
            assert came == sorted(came), f"the posts of {other.id} are out of order in the feed"
            taken = {deed.key[1] for deed in other.deeds if deed.key[0] == "post-deleted" and deed.answered}
            gone = {item["id"] for item in items if item["object"].get("id") in taken and item["type"] == "post"}
            assert not gone, f"{len(gone)} posts that were taken back are in the feed"

    def lacks(self, before: float) -> list[Key]:
        self.page.look()
        return [deed.key for deed in self.due(before) if not self.page.shows(deed)]

    def _followed(self) -> Collection["Member"]:
        return [self, *(other for other in (*self.steady, *self.fickle) if other.id in self.since)]

    async def _post(self) -> None:
        self._number += 1
        text = f"{self.person.username} {self._number}"
        deed = Deed(("post", text), time.monotonic())
        self.deeds.append(deed)
        key = {"Idempotency-Key": f'"{uuid4()}"'}
        answer = await self._ask.until(("POST", "/v1/posts"), 201, json={"text": text}, headers=key)
        deed.answered = time.monotonic()
        self._posts.append((answer.json()["id"], text))

    async def _take_back(self) -> None:
        if not self._posts:
            return
        post_id, text = self._posts.pop(random.randrange(len(self._posts)))
        self._back.add(text)
        deed = Deed(("post-deleted", post_id), time.monotonic())
        self.deeds.append(deed)
        await self._ask.until(
            ("DELETE", f"/v1/posts/{post_id}"), 204, 404
        )  # 404: an earlier try was cut and had done it
        deed.answered = time.monotonic()

    async def _turn_session(self) -> None:
        """Signs in a second time, or out there; the page goes on with the first session."""
        kind, began = "logout" if self._elsewhere else "login", now_as_events_have_it()
        deed = Deed((kind, self.id), time.monotonic())
        self.deeds.append(deed)
        if self._elsewhere:
            headers = {"Authorization": f"Bearer {self._elsewhere}"}
            # 401: an earlier try was cut and had done it
            await self._ask.until(("POST", "/v1/auth/sign-out"), 204, 401, headers=headers)
            self._elsewhere = ""
        else:
            body = {"username": self.person.username, "password": PASSWORD}
            answer = await self._ask.until(("POST", "/v1/auth/sign-in"), 200, json=body)
            self._elsewhere = answer.json()["token"]
        deed.when, deed.answered = (began, now_as_events_have_it()), time.monotonic()

    async def _see_a_guest_leave(self) -> None:
        """Brings somebody new, follows them, and sees them post and delete their account."""
        name = f"g-{uuid4().hex[:12]}"
        body = {"username": name, "password": PASSWORD, "passwordConfirm": PASSWORD}
        answer = await self._ask.until(("POST", "/v1/auth/sign-up"), 201, 409, json=body)
        if answer.status_code == 409:  # an earlier try was cut and had done it
            answer = await self._ask.until(
                ("POST", "/v1/auth/sign-in"), 200, json={"username": name, "password": PASSWORD}
            )
        guest, token = answer.json()["userId"], {"Authorization": f"Bearer {answer.json()['token']}"}
        self._brought.add(guest)
        await self._ask.until(("POST", f"/v1/friends/{guest}"), 200, 201)
        await self._ask.until(("POST", "/v1/posts"), 201, json={"text": f"{name} was here"}, headers=token)
        deed = Deed(("account-deleted", guest), time.monotonic())
        self._guests.append(deed)
        # 401: an earlier try was cut and had done it
        await self._ask.until(("DELETE", "/v1/me"), 204, 401, json={"password": PASSWORD}, headers=token)
        deed.answered = time.monotonic()

    async def _change_mind(self) -> None:
        if self.fickle:
            other = random.choice(self.fickle)
            await (self.unfollow(other) if other.id in self.since else self.follow(other))

    async def _look(self) -> None:
        """Reads the feed, and whom they follow, which is what they have said themselves a moment ago."""
        friends = await self._ask.once("GET", "/v1/friends")
        if friends is not None:
            listed = {friend["id"] for friend in friends.json()["items"]}
            self.tally.stale += listed - self._brought != self.since.keys()  # that they have left, they said themselves
        answer = await self._ask.once("GET", "/v1/feed", params={"limit": 20})
        if answer is not None:
            ids = [item["id"] for item in answer.json()["items"]]
            assert ids == sorted(set(ids), reverse=True), "an event is twice in the feed, or out of order"
