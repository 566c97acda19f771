"""The yardstick: the least time in which any scheme of a kind can finish. Pure.

The peer-to-peer bound is that of Kumar and Ross (2006), where bits flow like a
fluid. Rates are those of the wire; what TCP can carry of them is GOODPUT: the
shaper counts the Ethernet header, and 1448 of a full frame's 1514 bytes are payload.
"""

GOODPUT = 1448 / 1514


def payload_rate(mbit):
    """Bytes of payload a second that a link of so many Mbit/s carries."""
    return mbit * 1e6 / 8 * GOODPUT


def client_server(size, up, downs, far=0, trunk=None):
    """Every peer gets its own copy from the origin: N*F/u_s, or the slowest downlink.

    `far` peers sit behind a trunk that must carry a copy for each of them.
    """
    times = [len(downs) * size / payload_rate(up), size / payload_rate(min(downs))]
    if far and trunk:
        times.append(far * size / payload_rate(trunk))
    return max(times)


def peer_to_peer(size, up, ups, downs, far=0, trunk=None):
    """Kumar-Ross: max(F/u_s, F/d_min, N*F/(u_s + sum of u_i)); one copy over the trunk."""
    times = [size / payload_rate(up),
             size / payload_rate(min(downs)),
             len(downs) * size / payload_rate(up + sum(ups))]
    if far and trunk:
        times.append(size / payload_rate(trunk))
    return max(times)


def for_point(point, kind, joined_at=None):
    """The bound of a plan.Point for a system of that kind ('client-server' or 'p2p').

    Killed peers need nothing and give nothing; peers that joined late cannot be done
    before the moment they joined (`joined_at`, measured) plus one file over their downlink.
    """
    n = point.peers - (point.kill.peers if point.kill else 0)
    ups = point.peer_uplinks()[point.peers - n:]
    downs = [point.bw] * n
    far = sum(1 for i in range(point.peers - n, point.peers) if point.rack(i) == 2)
    trunk = point.trunk if point.topology == "two-racks" else None
    if kind == "client-server":
        bound = client_server(point.size, point.bw, downs, far, trunk)
    else:
        bound = peer_to_peer(point.size, point.bw, ups, downs, far, trunk)
    if joined_at is not None:
        bound = max(bound, joined_at + point.size / payload_rate(min(downs)))
    return bound
