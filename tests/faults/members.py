"""A member of the crowd: somebody who acts at random and notes what was answered, with a page open."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.people import Person
from tests.faults.pages import Key, Page, key_of

_AGAIN = 0.2  # seconds after which a refused request is tried again
_REFUSALS = {502, 503, 504}


@dataclass(eq=False, slots=True)
class Deed:
    """Something that others are to see. Until it is answered nobody knows whether it was done. Times are monotonic."""

    key: Key
    began: float
    answered: float | None = None


@dataclass
class Tally:
    """How requests were answered."""

    answers: Counter[str] = field(default_factory=Counter)  # "write 201", "read 503", "write cut"
    slowest: float = 0.0
    last_refused: float = 0.0  # monotonic seconds
    stale: int = 0  # answers that did not have what the asker had written before

    def __str__(self) -> str:
        return f"{dict(sorted(self.answers.items()))}, {self.stale} stale, the slowest in {self.slowest:.1f} s"

    def refused(self, kind: str) -> int:
        """How many writes, or reads, were not done."""
        return sum(count for said, count in self.answers.items() if said.startswith(kind) and said[-3] not in "24")


@dataclass(eq=False)
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

    @property
    def id(self) -> int:
        return self.person.id

    def turn_over(self, now: str) -> None:
        """A new leaf: what was done until now counts no more."""
        self.page.turn_over()
        self.deeds, self._posts, self._back, self.began = [], [], set(), now

    async def act(self) -> None:
        """Does one thing, again and again until it is done for sure: a post is sent again with the same Idempotency-Key."""
        what: Sequence[Callable[[], Awaitable[None]]] = (self._post, self._take_back, self._look)
        if random.random() < self.fickleness:
            await self._change_mind()
        else:
            await random.choices(what, (8, 1, 1))[0]()

    async def follow(self, other: "Member") -> None:
        await self._until(("POST", f"/v1/friends/{other.id}"), 200, 201)
        self.since[other.id] = time.monotonic()

    async def unfollow(self, other: "Member") -> None:
        del self.since[other.id]
        await self._until(("DELETE", f"/v1/friends/{other.id}"), 204)

    async def feed(self) -> list[dict[str, Any]]:
        """The events of the feed that are of this leaf, newest first, page by page."""
        items: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 100}
        while True:
            body = (await self._until(("GET", "/v1/feed"), 200, params=query)).json()
            items += [event for event in body["items"] if event["at"] >= self.began]
            if body["next"] is None or body["items"][-1]["at"] < self.began:
                return items
            query["before"] = body["next"]

    def due(self, before: float) -> set[Key]:
        """What must have come to the page of all that was answered `before`: the deeds of those followed then and ever since."""
        return {
            deed.key
            for other in (self, *self.steady, *self.fickle)
            for since in [self.since.get(other.id) if other is not self else 0.0]
            if since is not None
            for deed in other.deeds
            if deed.began > since and deed.answered is not None and deed.answered < before
        }

    def due_in_feed(self, before: float) -> set[Key]:
        """What must be in the feed of all that was answered `before`: everything of everybody followed now."""
        return {
            deed.key
            for other in self._followed()
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

    def lacks(self, before: float) -> set[Key]:
        self.page.look()
        return self.due(before) - self.page.came.keys()

    def _followed(self) -> Collection["Member"]:
        return [self, *(other for other in (*self.steady, *self.fickle) if other.id in self.since)]

    async def _post(self) -> None:
        self._number += 1
        text = f"{self.person.username} {self._number}"
        deed = Deed(("post", text), time.monotonic())
        self.deeds.append(deed)
        key = {"Idempotency-Key": f'"{uuid4()}"'}
        answer = await self._until(("POST", "/v1/posts"), 201, json={"text": text}, headers=key)
        deed.answered = time.monotonic()
        self._posts.append((answer.json()["id"], text))

    async def _take_back(self) -> None:
        if not self._posts:
            return
        post_id, text = self._posts.pop(random.randrange(len(self._posts)))
        self._back.add(text)
        deed = Deed(("post-deleted", post_id), time.monotonic())
        self.deeds.append(deed)
        await self._until(("DELETE", f"/v1/posts/{post_id}"), 204, 404)  # 404: an earlier try was cut and had done it
        deed.answered = time.monotonic()

    async def _change_mind(self) -> None:
        if self.fickle:
            other = random.choice(self.fickle)
            await (self.unfollow(other) if other.id in self.since else self.follow(other))

    async def _look(self) -> None:
        """Reads the feed, and whom they follow, which is what they have said themselves a moment ago."""
        friends = await self._once("GET", "/v1/friends")
        if friends is not None and {friend["id"] for friend in friends.json()["items"]} != self.since.keys():
            self.tally.stale += 1
        answer = await self._once("GET", "/v1/feed", params={"limit": 20})
        if answer is not None:
            ids = [item["id"] for item in answer.json()["items"]]
            assert ids == sorted(set(ids), reverse=True), "an event is twice in the feed, or out of order"

    async def _until(self, what: tuple[str, str], *good: int, **rest: Any) -> httpx.Response:
        answer = await self._once(*what, **rest)
        while answer is None:
            await asyncio.sleep(_AGAIN)
            answer = await self._once(*what, **rest)
        assert answer.status_code in good, answer.text
        return answer

    async def _once(self, method: str, path: str, **rest: Any) -> httpx.Response | None:
        """The answer; None if the request was cut, or refused for now."""
        kind, began = "read" if method == "GET" else "write", time.monotonic()
        answer: httpx.Response | None = None
        with suppress(httpx.TransportError):
            answer = await self.person.call(method, path, **rest)
        said = answer.status_code if answer is not None else "cut"
        self.tally.answers[f"{kind} {said}"] += 1
        self.tally.slowest = max(self.tally.slowest, time.monotonic() - began)
        if answer is None or answer.status_code in _REFUSALS:
            self.tally.last_refused = time.monotonic()
            return None
        return answer
