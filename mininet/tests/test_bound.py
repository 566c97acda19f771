import pytest

from lab import bound, plan, units

F = 10 << 20
T = F * 8 / (100e6 * 1448 / 1514)  # one file over one link of 100 Mbit/s: 0.877 s


def point(**kw):
    return plan.Point(**{"system": "swarm", "peers": 8, "size": F, "bw": 100.0, **kw})


def test_goodput_of_a_link():
    assert bound.payload_rate(100) == pytest.approx(12.5e6 * 1448 / 1514)


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_equal_links(n):
    assert bound.for_point(point(peers=n), "client-server") == pytest.approx(n * T)
    assert bound.for_point(point(peers=n), "p2p") == pytest.approx(T)


def test_slow_uplinks_bind_once_they_cannot_carry_the_copies():
    # 8 F over 100 + 4*100 + 4*20 = 580 Mbit/s is more than F over 100.
    p = point(uplinks=(100.0,) * 4 + (20.0,) * 4)
    assert bound.for_point(p, "p2p") == pytest.approx(8 / 5.8 * T)


def test_slowest_downlink_binds():
    assert bound.peer_to_peer(F, 100, [100, 100], [100, 10]) == pytest.approx(10 * T)
    assert bound.client_server(F, 100, [100, 10]) == pytest.approx(10 * T)


def test_trunk_carries_one_copy_or_one_a_peer():
    p = point(topology="two-racks", trunk=20.0)
    assert bound.for_point(p, "p2p") == pytest.approx(5 * T)
    assert bound.for_point(p, "client-server") == pytest.approx(4 * 5 * T)


def test_killed_peers_need_and_give_nothing():
    p = point(kill=units.Event(3, 0.5))
    assert bound.for_point(p, "client-server") == pytest.approx(5 * T)


def test_latecomers_cannot_be_done_before_a_file_after_they_came():
    p = point(join=units.Event(2, 0.5))
    assert bound.for_point(p, "p2p", joined_at=0.6) == pytest.approx(0.6 + T)
    assert bound.for_point(p, "client-server", joined_at=0.6) == pytest.approx(8 * T)
