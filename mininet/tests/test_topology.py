import pytest

from lab import plan, topology, units

TC = """class htb 5:1 root prio 0 rate 100Mbit ceil 100Mbit burst 15337b cburst 1600b """


@pytest.mark.parametrize("text, want", [
    (TC, [100.0]), (TC.replace("100Mbit", "12500Kbit"), [12.5]), (TC.replace("100Mbit", "1Gbit"), [1000.0]),
    (TC.replace("100Mbit", "512bit"), [512e-6]), ("", []), ("qdisc noqueue 0: root", [])])
def test_parse_rates(text, want):
    assert topology.parse_rates(text) == pytest.approx(want)


def test_check_rate():
    topology.check_rate("h1-eth0", 100, [100.0])
    topology.check_rate("tracker-eth0", None, [])
    for wanted, found, why in ((100, [20.0], "wanted 100 Mbit/s, the kernel has 20"),
                               (100, [], "no shaping"), (None, [100.0], "must not be shaped")):
        with pytest.raises(topology.TopologyError, match=why):
            topology.check_rate("h1-eth0", wanted, found)


def test_queues_are_bounded_in_bytes():
    assert topology.queue_bytes(5, 50) == 31_250
    assert topology.queue_bytes(0.1, 1) == 2 * 1514  # less would pass nothing
    text = "qdisc htb 5: root refcnt 2\nqdisc bfifo 6: parent 5:1 limit 30Kb\n"
    topology.check_queue("s1-eth1", 30 << 10, text)
    for wanted, said in ((62_500, text), (30 << 10, "qdisc htb 5: root\n")):
        with pytest.raises(topology.TopologyError, match="wanted a queue of"):
            topology.check_queue("s1-eth1", wanted, said)


def test_drops_are_counted_once():
    text = ("qdisc htb 5: dev s1-eth1 root\n Sent 9 bytes 2 pkt (dropped 7, overlimits 0 requeues 0)\n"
            "qdisc bfifo 6: dev s1-eth1 parent 5:1\n Sent 9 bytes 2 pkt (dropped 7, overlimits 0 requeues 0)\n"
            "qdisc bfifo 6: dev s1-eth2 parent 5:1\n Sent 9 bytes 2 pkt (dropped 3, overlimits 0 requeues 0)\n")
    assert topology.parse_drops(text) == 10


def test_payload_takes_the_headers_off():
    assert topology.payload(10 * 1514, 10) == 10 * 1448
    assert topology.payload(5 * 66, 5) == 0  # acknowledgements only


def test_the_links_of_the_hosts():
    def links(**scenario):
        return topology.host_links(plan.Point("swarm", 2, 1 << 20, 100.0, **scenario))
    assert links(links=(100.0, 5.0)) == [("h1", 100.0, 100.0), ("h2", 100.0, 100.0), ("h3", 5.0, 5.0)]
    assert links(origins=(40.0, 30.0))[:3] == [("h1", 40.0, 40.0), ("o2", 30.0, 30.0), ("h2", 100.0, 100.0)]
    assert links(seeder=5.0)[-1] == ("seeder", 5.0, 100.0)
    assert links(hostile=units.Hostile("claimer", 2))[-2:] == [("x1", 100.0, 100.0), ("x2", 100.0, 100.0)]
    assert links(uplinks=(50.0, 5.0))[1:] == [("h2", 50.0, 100.0), ("h3", 5.0, 100.0)]
