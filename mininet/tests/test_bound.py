import itertools

import pytest

from lab import bound, plan, units

F = 10 << 20
T = F * 8 / (100e6 * 1448 / 1514)  # one file over one link of 100 Mbit/s: 0.877 s, without the shaper's bucket


def near(value, rel=0.02):
    """To the little that a shaper's bucket makes of 10 MiB."""
    return pytest.approx(value, rel=rel)


def point(**kw):
    return plan.Point(**{"system": "swarm", "peers": 8, "size": F, "bw": 100.0, **kw})


def test_goodput_of_a_link():
    assert bound.seconds(F, 100) == near(F / (12.5e6 * 1448 / 1514), rel=5e-3)


def test_the_shaper_lets_a_bucket_and_a_last_packet_pass_at_once():
    early = 15360 + 2 * 1514
    assert bound.client_server(1 << 18, [5], [5, 5]) == pytest.approx((2 * (1 << 18) * 1514 / 1448 - early) / 625e3)
    assert bound.seconds(1000, 5) == 0
    assert bound.peer_to_peer(1 << 18, [5], [1, 1], [5, 5]) == pytest.approx(
        (2 * (1 << 18) * 1514 / 1448 - 3 * early) / 875e3)
    assert (bound.burst(100), bound.burst(1000)) == (25000, 65536)


def test_of_a_delay_the_last_bytes_way_counts():
    for kind in ("client-server", "p2p"):
        for of in (bound.for_point, bound.mean_for_point):
            assert of(point(delay_ms=10.0), kind) == pytest.approx(of(point(), kind) + 0.02)


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_equal_links(n):
    assert bound.for_point(point(peers=n), "client-server") == near(n * T)
    assert bound.for_point(point(peers=n), "p2p") == near(T)


def test_slow_uplinks_bind_once_they_cannot_carry_the_copies():
    # 8 F over 100 + 4*100 + 4*20 = 580 Mbit/s is more than F over 100.
    p = point(uplinks=(100.0,) * 4 + (20.0,) * 4)
    assert bound.for_point(p, "p2p") == near(8 / 5.8 * T)


def test_slowest_downlink_binds():
    assert bound.peer_to_peer(F, [100], [100, 100], [100, 10]) == near(10 * T)
    assert bound.client_server(F, [100], [100, 10]) == near(10 * T)


def test_links_are_downlinks_and_uplinks():
    p = point(links=(100.0,) * 4 + (20.0,) * 4)
    assert bound.for_point(p, "p2p") == near(5 * T)           # a file over the slowest downlink
    assert bound.for_point(p, "client-server") == near(8 * T)
    few = point(links=(100.0,) + (40.0,) * 7, bw=200.0)
    assert bound.for_point(few, "p2p") == near(2.5 * T)
    assert bound.for_point(point(links=(60.0,) * 8, bw=50.0), "p2p") == near(2 * T)
    alone = point(links=(2.0,) + (100.0,) * 7, kill=units.Event(1, 0.5))
    assert bound.for_point(alone, "p2p") == near(T)           # who is killed needs nothing


def test_links_of_latecomers_bind_them_alone():
    p = point(links=(10.0,) * 6 + (50.0, 100.0), join=units.Event(2, 0.5))
    assert bound.for_point(p, "p2p", joined_at=100.0) == near(100 + T)


def test_origins_are_as_fast_as_one_with_the_sum_of_their_uplinks():
    p = point(origins=(30.0, 20.0))
    assert bound.for_point(p, "p2p") == near(2 * T)
    assert bound.for_point(p, "client-server") == near(8 * 2 * T)
    assert bound.mean_for_point(p, "p2p") == near(2 * T)
    assert bound.mean_for_point(p, "client-server") == near(4.5 * 2 * T)
    assert bound.for_point(point(origins=(50.0, 50.0), uplinks=(10.0,) * 8), "p2p") == near(8 / 1.8 * T)


def test_a_seeder_gives_as_an_origin_does_and_needs_nothing():
    assert bound.for_point(point(bw=50.0, seeder=50.0, links=(100.0,) * 8), "p2p") == near(T)
    slow = point(uplinks=(10.0,) * 8, seeder=20.0)
    assert bound.for_point(slow, "p2p") == near(8 / 2 * T)
    assert bound.mean_for_point(point(bw=50.0, seeder=50.0, links=(100.0,) * 8), "p2p") == near(T)
    for of in (bound.for_point, bound.mean_for_point):  # a client/server system asks nobody but the origin
        assert of(point(seeder=50.0), "client-server") == of(point(), "client-server")


def test_trunk_carries_one_copy_or_one_a_peer():
    p = point(topology="two-racks", trunk=20.0)
    assert bound.for_point(p, "p2p") == near(5 * T)
    assert bound.for_point(p, "client-server") == near(4 * 5 * T)


def test_killed_peers_need_nothing_but_may_have_given():
    p = point(kill=units.Event(3, 0.5))
    assert bound.for_point(p, "client-server") == near(5 * T)
    slow = point(peers=4, uplinks=(100.0, 1.0, 1.0, 1.0), kill=units.Event(1, 0.9))  # the fast one is killed at the end
    assert bound.for_point(slow, "p2p") == near(max(1.0, 3 / 2.03) * T)


def test_frozen_peers_count_as_killed_ones():
    for kind in ("client-server", "p2p"):
        for of in (bound.for_point, bound.mean_for_point):
            assert (of(point(freeze=units.Event(1, 0.5), kill=units.Event(2, 0.5)), kind)
                    == of(point(kill=units.Event(3, 0.5)), kind))


def test_latecomers_cannot_be_done_before_a_file_after_they_came():
    p = point(join=units.Event(2, 0.5))
    assert bound.for_point(p, "p2p", joined_at=0.6) == near(0.6 + T)
    assert bound.for_point(p, "client-server", joined_at=0.6) == near(8 * T)


KINDS = ["client-server", "p2p"]
POINTS = [point(), point(peers=1), point(peers=32), point(bw=5.0, size=1 << 20),
          point(uplinks=(100.0,) * 4 + (20.0,) * 4), point(uplinks=(1.0,) * 8),
          point(links=(100.0,) * 4 + (5.0,) * 4), point(links=(300.0,) * 4 + (90.0,) * 4),
          point(origins=(80.0, 80.0)), point(topology="two-racks", trunk=20.0),
          point(topology="two-racks", trunk=500.0),
          point(topology="two-racks", trunk=20.0, peers=1),
          point(kill=units.Event(3, 0.5)), point(topology="two-racks", trunk=20.0, kill=units.Event(6, 0.5))]


@pytest.mark.parametrize("n", [1, 2, 8, 32])
def test_least_mean_with_equal_links(n):
    assert bound.mean_for_point(point(peers=n), "client-server") == near((n + 1) / 2 * T)
    assert bound.mean_for_point(point(peers=n), "p2p") == near(T)


@pytest.mark.parametrize("p", POINTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_least_mean_lies_between_one_copy_and_the_last_peer(p, kind):
    mean = bound.mean_for_point(p, kind)
    assert bound.seconds(p.size, sum(p.origins or [p.bw])) <= mean * (1 + 1e-9)
    assert mean <= bound.for_point(p, kind) * (1 + 1e-9)


@pytest.mark.parametrize("p", POINTS)
def test_peers_that_help_never_raise_a_bound(p):
    assert bound.mean_for_point(p, "p2p") <= bound.mean_for_point(p, "client-server") * (1 + 1e-9)
    assert bound.for_point(p, "p2p") <= bound.for_point(p, "client-server") * (1 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_more_of_the_file_and_less_of_the_link_take_proportionally_longer(kind):
    once = bound.mean_for_point(point(), kind)
    assert bound.mean_for_point(point(size=3 * F), kind) == near(3 * once)
    assert bound.mean_for_point(point(bw=50.0), kind) == near(2 * once)


def test_slow_uplinks_let_only_some_peers_finish_early():
    # 140 Mbit/s in all: the k-th of 4 not before k/1.4, and none before one copy.
    p = point(peers=4, uplinks=(10.0,) * 4)
    assert bound.mean_for_point(p, "p2p") == near((1 + 2 / 1.4 + 3 / 1.4 + 4 / 1.4) / 4 * T)


def test_slow_downlinks_hold_back_only_their_peers():
    p = point(peers=4, links=(100.0, 100.0, 20.0, 10.0))
    assert bound.mean_for_point(p, "p2p") == near((1 + 1 + 5 + 10) / 4 * T)
    assert bound.mean_for_point(p, "client-server") == near((1 + 2 + 5 + 10) / 4 * T)


def test_the_trunk_holds_back_only_the_peers_behind_it():
    p = point(topology="two-racks", trunk=20.0)  # 4 near peers, 4 far ones, 5 T for a copy over the trunk
    assert bound.mean_for_point(p, "p2p") == near((4 * 1 + 4 * 5) / 8 * T)
    assert bound.mean_for_point(p, "client-server") == near((1 + 2 + 3 + 4 + 5 + 10 + 15 + 20) / 8 * T)


def test_the_least_mean_is_the_least_over_all_orders():
    """Near and far peers in every order of finishing, by brute force."""
    p = point(peers=6, topology="two-racks", trunk=60.0)
    least = min(_mean_of(order) for order in itertools.permutations("nnnfff"))
    assert bound.mean_for_point(p, "client-server") == near(least * T)


def _mean_of(order):
    """Client/server, 100 Mbit/s to all and 60 to the far: the earliest times in that order, in T."""
    times, far = [], 0
    for k, place in enumerate(order, 1):
        far += place == "f"
        times.append(max(k, far / 0.6 if place == "f" else 0, *times))
    return sum(times) / len(times)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_peers_do_not_count_for_the_mean(kind):
    assert (bound.mean_for_point(point(kill=units.Event(3, 0.5)), kind)
            == near(bound.mean_for_point(point(peers=5), kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_no_bound_without_a_rate_and_none_of_the_mean_with_latecomers(kind):
    assert bound.for_point(point(bw=None), kind) is None
    assert bound.mean_for_point(point(bw=None), kind) is None
    assert bound.mean_for_point(point(join=units.Event(2, 0.5)), kind) is None
