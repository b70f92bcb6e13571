"""One browser with many streams: over h2 they share a connection, where HTTP/1.1 would stop at six."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from local.system import System

_STREAMS = 20
# What a page of ours could do: two people, twenty EventSources of the one by cookie, a WebSocket of the other.
_SCRIPT = """async ([streams, one, other]) => {
  const form = name => JSON.stringify({username: name, password: "1234567890", passwordConfirm: "1234567890"});
  const sign = async name => (await fetch("/v1/auth/sign-up", {method: "POST", body: form(name)})).json();
  const post = who => fetch("/v1/posts", {
    method: "POST", body: JSON.stringify({text: "to all"}), headers: {Authorization: "Bearer " + who.token}});
  const second = await sign(other), first = await sign(one);
  const open = source => new Promise(done => source.addEventListener("snapshot", done, {once: true}));
  const sources = Array.from({length: streams}, () => new EventSource("/v1/stream"));
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/v1/ws", ["feed.v1", "bearer." + second.token]);
  const told = [];
  const heard = new Promise(done => socket.onmessage = ({data}) => {
    const {event} = JSON.parse(data);
    if (event === "snapshot") told.push(event);
    if (event === "post") done(event);
  });
  const failed = new Promise((_, no) => socket.onerror = () => no(new Error("the WebSocket failed")));
  await Promise.race([Promise.all(sources.map(open)), failed]);
  const posts = Promise.all(sources.map(source => new Promise(done => source.addEventListener("post", done))));
  while (!told.length) await new Promise(done => setTimeout(done, 20));
  await post(first);
  await post(second);
  const events = await Promise.race([posts, failed]);
  const [page] = performance.getEntriesByType("navigation");
  return {events: events.length, socket: await heard, protocol: page.nextHopProtocol, subprotocol: socket.protocol};
}"""


def connections_to(port: int) -> int:
    """Those that are open on this machine, from a client's side."""
    rows = [row.split() for file in ("tcp", "tcp6") for row in Path(f"/proc/net/{file}").read_text().splitlines()[1:]]
    return sum(row[3] == "01" and int(row[2].rpartition(":")[2], 16) == port for row in rows)


@pytest.mark.timeout(180)
async def test_twenty_event_sources_and_a_websocket_share_a_connection(system: System, browser: Browser) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    answer = await page.goto(f"{system.tls_address}/v1/openapi.json")
    assert answer is not None
    names = [f"h2-{id(context):x}-{n}"[-32:] for n in range(2)]

    said: dict[str, Any] = await page.evaluate(_SCRIPT, [_STREAMS, *names])
    shared = connections_to(system.site.tls)
    await context.close()

    assert said == {"events": _STREAMS, "socket": "post", "protocol": "h2", "subprotocol": "feed.v1"}
    # One, and perhaps another that the browser opened beforehand and does not use.
    assert 1 <= shared <= 2
    assert answer.headers["x-content-type-options"] == "nosniff"
