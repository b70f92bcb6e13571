"""The servers that are compared."""

from bench.compare.centrifugo import Centrifugo
from bench.compare.life import LifePlain, LifeWire
from bench.compare.mercure import Mercure
from bench.compare.nchan import Nchan
from bench.compare.ours import FedPlain, FedSockets, FedWire
from bench.compare.peer import Peer
from bench.compare.pushpin import Pushpin
from bench.compare.sse_starlette import SseStarlette

PEERS: dict[str, type[Peer]] = {
    "wire": FedWire,
    "wire-kafka": LifeWire,
    "plain": FedPlain,
    "plain-kafka": LifePlain,
    "wire-ws": FedSockets,
    "nchan": Nchan,
    "pushpin": Pushpin,
    "sse-starlette": SseStarlette,
    "centrifugo": Centrifugo,
    "mercure": Mercure,
}
