from lab import plan, units


def point(**kw):
    return plan.Point(**{"system": "swarm", "peers": 4, "size": 1 << 20, "bw": 100.0, **kw})


ODD = dict(uplinks=(100.0, 100.0, 20.0, 20.0), kill=units.Event(1, 0.5),
           freeze=units.Event(1, 0.4), join=units.Event(2, 0.25),
           links=(100.0, 5.0, 5.0, 5.0), origins=(40.0, 40.0), seeder=5.0,
           hostile=units.Hostile("mute", 3), topology="two-racks",
           trunk=50.0, cc="cubic", switch="ovs",
           queue_ms=50.0, delay_ms=25.0, loss=0.5)


def test_a_point_survives_json():
    for p in (point(), point(**ODD), point(bw=None)):
        assert plan.Point.from_dict(p.as_dict()) == p


def test_keys_tell_runs_apart_and_never_change():
    assert plan.Run(point(), 2).key == "swarm-n4-1048576B-100M-r2"
    keys = {plan.Run(point(**{k: v}), 1).key for k, v in ODD.items() if k != "trunk"
            for v in (v,) if k != "topology"}
    keys |= {plan.Run(point(topology="two-racks", trunk=t), 1).key for t in (50.0, 20.0)}
    keys.add(plan.Run(point(bw=None), 1).key)
    assert len(keys) == 16


def test_scenario_in_words():
    assert point().scenario() == ""
    assert point(**ODD).scenario() == ("two-racks, trunk 50 Mbit/s; uplinks 100x2,20x2; links 100x1,5x3; "
                                       "origins 40x2; seeder 5 Mbit/s; kill 1@50%; freeze 1@40%; join 2@25%; "
                                       "hostile mute:3; "
                                       "queues of 50 ms; delay 25 ms; loss 0.5 %; cubic; ovs")


def test_first_peers_are_killed_the_next_frozen_last_ones_join():
    p = point(**ODD)
    assert (p.victims(), p.frozen(), p.latecomers()) == ([0], [1], [2, 3])
    assert p.gone() == [0, 1] and point(freeze=units.Event(2, 0.5)).frozen() == [0, 1]
    assert [p.rack(i) for i in range(4)] == [1, 1, 2, 2]


def test_the_fast_ones_are_those_with_the_fastest_links_that_are_to_have_the_file():
    links = (100.0, 5.0, 100.0, 50.0)
    assert point(links=links).fast() == [0, 2]
    assert point(links=links, kill=units.Event(1, 0.5)).fast() == [2]
    assert point(links=links, kill=units.Event(3, 0.5)).fast() == point(links=(5.0,) * 4).fast() == point().fast() == []


def test_liars_are_what_earlier_versions_called_corrupt():
    old = {**point().as_dict(), "corrupt": 2}
    del old["hostile"]
    p = plan.Point.from_dict(old)
    assert p == point(hostile=units.Hostile("liar", 2))
    assert plan.Run(p, 1).key == "swarm-n4-1048576B-100M-corrupt2-r1"
    assert plan.Point.from_dict({**old, "corrupt": 0}) == point()


def test_who_is_listed_has_a_host_of_its_own():
    assert [point(hostile=units.Hostile(kind, 5)).intruders() for kind in units.HOSTILE] == [5, 1, 1, 1, 5]
    assert point().intruders() == 0


def test_links_are_both_ways():
    p = point(links=(100.0, 5.0, 5.0, 5.0))
    assert p.peer_uplinks() == p.peer_downlinks() == [100.0, 5.0, 5.0, 5.0]
    assert point(uplinks=(5.0,) * 4).peer_downlinks() == [100.0] * 4
    assert len({q.network() for q in (p, point(), point(uplinks=p.links))}) == 3


def test_the_order_is_by_chance_but_every_point_is_measured_once_a_round():
    points = [point(system=s, peers=n) for n in (1, 2, 4) for s in ("direct", "static", "swarm")]
    groups = plan.runs(points, 4, seed=1)
    flat = [r for g in groups for r in g]
    assert len(flat) == len(set(flat)) == 4 * 9
    assert [r.repeat for r in flat] == sorted(r.repeat for r in flat)
    for g in groups:
        assert len({r.point.network() for r in g}) == 1 and len(g) == 3
    rounds = [[r.point for r in flat if r.repeat == i] for i in (1, 2, 3, 4)]
    assert len({tuple(order) for order in rounds}) == 4  # none like another
    assert plan.runs(points, 4, seed=1) == groups != plan.runs(points, 4, seed=2)


def test_a_title_for_people():
    assert plan.Run(point(peers=1), 2).title() == "swarm, 1 peer, 1 MiB, 100 Mbit/s, #2"
    assert plan.Run(point(), 2).title() == "swarm, 4 peers, 1 MiB, 100 Mbit/s, #2"


def test_eta_learns():
    eta = plan.Eta(lambda run: 10.0)
    todo = [plan.Run(point(), i) for i in (1, 2, 3)]
    guess = eta.rest(todo)
    eta.done(todo[0], 20.0, 25.0)
    assert eta.rest(todo[1:]) == 2 * (20 + 5)
    assert eta.rest([]) == 0 < guess
    eta.done(todo[1], None, 230.0)  # a failure tells nothing
    assert eta.rest(todo[2:]) == 20 + 5


def test_rates_that_hardly_differ_have_keys_of_their_own():
    assert len({plan.Run(point(bw=bw), 1).key for bw in (12.3456789, 12.3456788)}) == 2
