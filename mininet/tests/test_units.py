import pytest

from lab import units


@pytest.mark.parametrize("text, want", [
    ("10MiB", 10 << 20), ("64M", 64 << 20), ("1.5 GiB", 3 << 29), ("1000B", 1000),
    ("10MB", 10_000_000), ("4kib", 4096), ("7B", 7)])
def test_size(text, want):
    assert units.size(text) == want


@pytest.mark.parametrize("text", ["", "ten", "10", "1000", "10TiB", "-1", "0", "0.2B", "10 MiB x"])
def test_size_refuses(text):
    with pytest.raises(ValueError, match="size"):
        units.size(text)


@pytest.mark.parametrize("text, want", [("100", 100.0), ("2.5", 2.5), ("20Mbit", 20.0), ("1000 M", 1000.0)])
def test_rate(text, want):
    assert units.rate(text) == want


@pytest.mark.parametrize("text", ["", "fast", "0", "1001", "-5", "10Gbit"])
def test_rate_refuses(text):
    with pytest.raises(ValueError, match="rate"):
        units.rate(text)


@pytest.mark.parametrize("text, want", [
    ("2-5", [2, 3, 4, 5]), ("1,2,4", [1, 2, 4]), ("8,2-3,2", [2, 3, 8]), ("7", [7])])
def test_counts(text, want):
    assert units.counts(text) == want


@pytest.mark.parametrize("text", ["", "a", "5-2", "1,,2", "0", "1-", "1-999999"])
def test_counts_refuses(text):
    with pytest.raises(ValueError, match="list"):
        units.counts(text)


def test_counts_knows_the_least():
    with pytest.raises(ValueError, match="smallest allowed is 2"):
        units.counts("1-4", least=2)


def test_names():
    assert units.names("b, a,b", ("a", "b"), "system") == ["b", "a"]
    with pytest.raises(ValueError, match="unknown system 'c'; known are a, b"):
        units.names("a,c", ("a", "b"), "system")


def test_rates():
    assert units.rates("100x2,20", "links") == [100.0, 100.0, 20.0]
    for bad in ("", "100x", "100x0", "x4", "100xfour", "100,"):
        with pytest.raises(ValueError):
            units.rates(bad, "links")


def test_hostile():
    assert units.hostile("mute:20") == units.Hostile("mute", 20) and str(units.hostile("liar:1")) == "liar:1"
    for bad in ("", "liar", "liar:0", "liar:x", "thief:1", "mute:201"):
        with pytest.raises(ValueError, match="expected"):
            units.hostile(bad)


def test_event():
    assert units.event("2@50%") == units.Event(2, 0.5)
    assert str(units.Event(2, 0.5)) == "2@50%"
    for bad in ("", "2", "2@50", "0@50%", "1@0%", "1@100%", "1@x%"):
        with pytest.raises(ValueError, match="expected PEERS@PERCENT"):
            units.event(bad)


@pytest.mark.parametrize("n, want", [(10 << 20, "10 MiB"), (1536, "1.5 KiB"), (5, "5 B"), (1 << 30, "1 GiB")])
def test_human_size(n, want):
    assert units.human_size(n) == want


@pytest.mark.parametrize("s, want", [(4.6, "5s"), (95, "1m35s"), (3700, "1h01m")])
def test_human_time(s, want):
    assert units.human_time(s) == want


@pytest.mark.parametrize("text, want", [("50ms", 50.0), ("0.05s", 50.0), (" 1.5 ms ", 1.5), ("10s", 10_000.0)])
def test_milliseconds(text, want):
    assert units.milliseconds(text) == want


@pytest.mark.parametrize("text", ["", "50", "0ms", "0.0000001ms", "11s", "-1ms", "1m", "1e3ms"])
def test_milliseconds_refuses(text):
    with pytest.raises(ValueError, match="time"):
        units.milliseconds(text)


def test_percent():
    assert units.percent("0.5 %") == 0.5
    for text in ("1", "0%", "100%", "-1%", "x%"):
        with pytest.raises(ValueError, match="percentage"):
            units.percent(text)


def test_links_may_have_no_rate():
    assert units.each("100, none,100", units.link) == [100.0, None]
    with pytest.raises(ValueError, match="rate ''"):
        units.each("100,", units.link)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "11", "٣"])
def test_count_names_what_it_counts(text):
    with pytest.raises(ValueError, match="--repeat '.*': expected a number from 1 to 10"):
        units.count(text, "--repeat", 1, 10)


def test_for_people():
    assert (units.counted(1, "peer"), units.counted(2, "peer")) == ("1 peer", "2 peers")
    assert (units.human_rate(2.5), units.human_rate(None)) == ("2.5 Mbit/s", "no rate")
