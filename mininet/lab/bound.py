"""The yardstick: the least time in which any scheme of a kind can finish. Pure.

The peer-to-peer bound is that of Kumar and Ross (2006), where bits flow like a
fluid. Rates are those of the wire; what TCP can carry of them is GOODPUT: the
shaper counts the Ethernet header, and 1448 of a full frame's 1514 bytes are payload.

Of a delay, only the last byte's way is in a bound; loss and queues add nothing: they make
transfers slower, but the bound is what no transfer can beat, so it stays one. Without a
rate there is no bound.
"""

from typing import List, Optional, Sequence, Tuple

from . import plan

GOODPUT = 1448 / 1514
FRAME = 1514
BUCKET = 15 << 10  # bytes that HTB lets pass at once, as Mininet sets it (burst 15k)
BURST_MS = 2.0     # what TCP hands on as one packet takes no longer; see `burst`
CLIENT_SERVER, PEER_TO_PEER = "client-server", "p2p"


def burst(mbit: float) -> int:
    """The most bytes that a host sends as one packet (ip link, gso_max_size): what its link carries in 2 ms, two
    frames at least and 64 KiB at most. A shaper sends a packet whole, so that without this limit a slow link would
    carry its last 64 KiB in no time."""
    return max(2 * FRAME, min(1 << 16, int(mbit * 1e6 / 8 * BURST_MS / 1e3)))


def seconds(size: float, *mbit: float) -> float:
    """How long links of so many Mbit/s, together, take at least for so many bytes of payload.

    A shaper's bucket is full at first, and its last packet leaves as soon as it may begin.
    """
    early = sum(BUCKET + burst(m) for m in mbit)
    return max(0.0, size / GOODPUT - early) / (sum(mbit) * 1e6 / 8)


def client_server(size: int, origins: Sequence[float], downs: Sequence[float], far: int = 0,
                  trunk: Optional[float] = None) -> float:
    """Every peer gets its own copy from the origins: N*F/u_s, or the slowest downlink. Several are as fast as one
    with the sum of their uplinks.

    `far` peers sit behind a trunk that must carry a copy for each of them.
    """
    times = [seconds(len(downs) * size, *origins), seconds(size, min(downs))]
    if far and trunk:
        times.append(seconds(far * size, trunk))
    return max(times)


def peer_to_peer(size: int, origins: Sequence[float], ups: Sequence[float], downs: Sequence[float],
                 far: int = 0, trunk: Optional[float] = None) -> float:
    """Kumar-Ross: max(F/u_s, F/d_min, N*F/(u_s + sum of u_i)); one copy over the trunk. A seeder is one of the
    origins."""
    times = [seconds(size, *origins), seconds(size, min(downs)), seconds(len(downs) * size, *origins, *ups)]
    if far and trunk:
        times.append(seconds(size, trunk))
    return max(times)


def for_point(point: plan.Point, kind: str, joined_at: Optional[float] = None) -> Optional[float]:
    """The bound of the last peer, in seconds, for a system of that kind; None without a rate.

    Killed and frozen peers need nothing, but may have given until they were; peers that joined late cannot be
    done before the moment they joined (`joined_at`, measured) plus one file over their downlink.
    """
    if point.bw is None:
        return None
    ups, downs, far, trunk = _rates(point)
    origins = known(point.origin_rates())
    if kind == CLIENT_SERVER:
        bound = client_server(point.size, origins, downs, far, trunk)
    else:
        bound = peer_to_peer(point.size, [*origins, *known([point.seeder])], ups, downs, far, trunk)
    bound += way(point)
    if joined_at is not None:
        late = known(point.peer_downlinks())[-len(point.latecomers()):]
        bound = max(bound, joined_at + seconds(point.size, max(late)))
    return bound


def mean_for_point(point: plan.Point, kind: str) -> Optional[float]:
    """The least possible mean of the peers' times, in seconds.

    Order the peers by when they finish. The first k of them have received k*F bytes, all of
    which somebody sent: client/server the origin with u_s, peer-to-peer all with u_s + sum of
    u_i. And nobody has a file before it has left the origin and crossed a downlink, so

        t_k >= max(F / min(u_s, d_k), k*F / capacity),

    where d_k is the k-th fastest downlink, for of k peers one has that or a slower one,
    and the mean of these over k is a bound of the mean. For equal links it is (N+1)/2 * F/u
    with client/server and F/u with peer-to-peer. A trunk lets the j-th peer behind it finish no
    earlier than j*F/trunk (client/server), or any of them no earlier than F/trunk (peer-to-peer);
    the mean is least where those peers are the last, for to let one go before a near peer moves
    that near peer back, too.

    None without a rate, and with latecomers: when they may begin was measured, and times count
    from each peer's own start. Killed and frozen peers count as in `for_point`.
    """
    if point.bw is None or point.join:
        return None
    ups, downs, far, trunk = _rates(point)
    downs.sort(reverse=True)
    n = len(downs)
    sources = known(point.origin_rates())
    senders = sources
    if kind == PEER_TO_PEER:
        sources = [*sources, *known([point.seeder])]
        senders = [*sources, *ups]
    times = []
    for k in range(1, n + 1):
        least = max(seconds(point.size, *sources), seconds(point.size, downs[k - 1]),
                    seconds(k * point.size, *senders))
        behind = k - (n - far)  # of those behind the trunk, this is the how many-th
        if trunk and behind > 0:
            copies = behind if kind == CLIENT_SERVER else 1
            least = max(least, seconds(copies * point.size, trunk))
        times.append(least)
    return sum(times) / n + way(point)


def way(point: plan.Point) -> float:
    """Seconds that the last byte is on the way from one host to another, over two links."""
    return 2 * point.delay_ms / 1e3


def _rates(point: plan.Point) -> Tuple[List[float], List[float], int, Optional[float]]:
    """All uplinks; the downlinks of peers that are to have the file; how many of them are behind the trunk; its
    rate."""
    first = len(point.gone())
    far = sum(1 for i in range(first, point.peers) if point.rack(i) == 2)
    trunk = point.trunk if point.topology == "two-racks" else None
    return known(point.peer_uplinks()), known(point.peer_downlinks())[first:], far, trunk


def known(rates: Sequence[Optional[float]]) -> List[float]:
    """The rates of links that have one, as all do that a bound is reckoned of."""
    return [rate for rate in rates if rate is not None]
