import pytest

from lab import topology

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


def test_parse_sections():
    assert topology.parse_sections("@a\r\nx\r\ny\r\n@b\r\n@c\nz\n") == {"a": "x\ny\n", "b": "", "c": "z\n"}


def test_free_subnet_avoids_what_is_in_use():
    assert str(topology.free_subnet([])) == "10.77.0.0/16"
    assert str(topology.free_subnet(["10.0.0.0/8", "192.168.1.7"])) == "172.29.0.0/16"
    with pytest.raises(topology.TopologyError, match="no free IPv4 network"):
        topology.free_subnet(["0.0.0.0/0"])


def test_payload_takes_the_headers_off():
    assert topology.payload(10 * 1514, 10) == 10 * 1448
    assert topology.payload(5 * 66, 5) == 0  # acknowledgements only
