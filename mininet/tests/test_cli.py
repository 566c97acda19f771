"""Bad input: one clear line each, before anything starts."""

import contextlib
import errno
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import checks, cli, driver, options, pulse, results


def grid(*argv, command="sweep"):
    return options.grid(options.parse(command, list(argv)))


def test_default_is_the_reports_experiment():
    config = grid()
    assert len(config["points"]) == 13 * 3 and config["axis"] == "hosts"
    assert {p["peers"] for p in config["points"]} == set(range(1, 14))
    assert {(p["size"], p["bw"]) for p in config["points"]} == {(10 << 20, 100.0)}
    assert [p["system"] for p in config["points"][:3]] == ["direct", "static", "swarm"]


def test_the_report_is_all_of_the_reports_experiments():
    config = grid(command="report")
    points = config["points"]
    assert len(points) == 13 * 3 * 2 and config["repeat"] == 5 and config["axis"] == "hosts"
    assert {p["system"] for p in points} == {"direct", "static-one", "swarm"}
    assert {p["bw"] for p in points} == {100.0, None}


def test_single_needs_one_number_of_hosts():
    assert [p["peers"] for p in grid("--hosts", "5", command="single")["points"]] == [4, 4, 4]
    for argv, message in (((), "needs the number of hosts: --hosts N"), (("--hosts", "2-4"), "one number of hosts")):
        with pytest.raises(options.Wrong, match=message):
            grid(*argv, command="single")  # there is no terminal to ask at


def test_several_sizes_and_rates():
    points = grid("--size", "1MiB,4MiB", "--bw", "5,none", "--peers", "2", "--system", "swarm")["points"]
    assert [(p["size"], p["bw"]) for p in points] == [(1 << 20, 5.0), (1 << 20, None), (4 << 20, 5.0), (4 << 20, None)]


def test_points_that_take_too_long_are_left_out():
    config = grid("--system", "direct,swarm", "--peers", "1,2,4", "--longest", "2s")
    assert [(p["system"], p["peers"]) for p in config["points"]] == [
        ("direct", 1), ("swarm", 1), ("direct", 2), ("swarm", 2), ("swarm", 4)]
    with pytest.raises(options.Wrong, match="leaves out all"):
        grid("--longest", "1ms")


def test_the_order_is_drawn_and_recorded():
    assert grid("--seed", "7")["seed"] == 7
    assert len({grid()["seed"] for _ in range(3)}) == 3


def test_hosts_count_the_origin_and_peers_do_not():
    assert [p["peers"] for p in grid("--hosts", "2,5", "--system", "swarm")["points"]] == [1, 4]
    assert [p["peers"] for p in grid("--peers", "2,5", "--system", "swarm")["points"]] == [2, 5]


def test_uplinks_say_how_many_peers():
    p, = grid("--uplinks", "100x4,20x4", "--system", "swarm")["points"]
    assert p["peers"] == 8 and p["scenario"] == "uplinks 100x4,20x4"


def test_links_say_how_many_peers():
    p, = grid("--links", "100x2,5x3", "--system", "nginx")["points"]
    assert p["peers"] == 5 and p["links"] == [100.0, 100.0, 5.0, 5.0, 5.0] and p["scenario"] == "links 100x2,5x3"


def test_trunk_is_half_by_default():
    assert grid("--topology", "two-racks", "--peers", "4")["points"][0]["trunk"] == 50


@pytest.mark.parametrize("argv, message", [
    (["--size", "ten"], "size 'ten': expected"),
    (["--bw", "fast"], "rate 'fast': expected Mbit/s"),
    (["--bw", "2000"], "must be between 0.1 and 1000"),
    (["--peers", "4,x"], "list '4,x': expected"),
    (["--hosts", "1-4"], "smallest allowed is 2"),
    (["--peers", "3", "--hosts", "3"], "not allowed with"),
    (["--repeat", "0"], "--repeat '0': expected"),
    (["--system", "swarm,ftp"], "unknown system 'ftp'; known are direct, static"),
    (["--topology", "ring"], "unknown topology 'ring'; known are star, two-racks"),
    (["--switch", "hub"], "unknown switch 'hub'"),
    (["--trunk", "10"], "--trunk needs --topology two-racks"),
    (["--topology", "two-racks", "--peers", "1"], "at least 2 peers"),
    (["--uplinks", "100x4", "--peers", "8"], "--uplinks names 4 peers, the sweep has 8"),
    (["--links", "100x4", "--peers", "8"], "--links names 4 peers, the sweep has 8"),
    (["--links", "5x2", "--uplinks", "5x2"], "not allowed with"),
    (["--links", "5x2", "--bw", "none"], "--links needs links with a rate"),
    (["--links", "100xx4"], "links '100xx4': expected RATExHOSTS"),
    (["--origins", "40x2", "--system", "swarm,aria2"], "aria2 cannot do --origins"),
    (["--origins", "40x2", "--bw", "none"], "--origins needs links with a rate"),
    (["--seeder", "5", "--system", "swarm,static"], "static cannot do --seeder"),
    (["--seeder", "fast"], "rate 'fast'"),
    (["--uplinks", "100by4"], "rate '100by4'"),
    (["--kill", "half"], "expected PEERS@PERCENT"),
    (["--kill", "2@50%", "--peers", "2"], "none left"),
    (["--kill", "1@50%", "--freeze", "1@50%", "--peers", "2"], "none left"),
    (["--freeze", "1"], "expected PEERS@PERCENT"),
    (["--hostile", "1"], "--hostile '1': expected KIND:N"),
    (["--hostile", "liar:0"], "--hostile liar '0': expected"),
    (["--hostile", "mute:3", "--system", "swarm,nginx"], "nginx cannot do --hostile mute"),
    (["--hostile", "liar:1", "--system", "direct"], "direct cannot do --hostile liar"),
    (["--sise", "10MiB"], "unrecognized arguments"),
    (["--queue", "50"], "time '50': expected ms or s"),
    (["--delay", "20s"], "at most 10s"),
    (["--loss", "1"], "expected a percentage"),
    (["--loss", "100%"], "below 100"),
    (["--queue", "50ms", "--bw", "none"], "--queue needs links with a rate"),
    (["--uplinks", "5x2", "--bw", "100,none"], "--uplinks needs links with a rate"),
    (["--topology", "two-racks", "--bw", "none"], "--topology needs links with a rate"),
    (["--seed", "x"], "--seed 'x': expected"),
    (["--resume", ""], "--resume is empty"),
    (["--kill", ""], "--kill is empty"),
    (["--size", "9" * 400 + "MiB"], "expected a number and B, KiB"),
    (["--prometheus-port", "99999"], "--prometheus-port '99999': expected a number from 0 to 65535"),
    (["prom", "x", "²"], "port '²': expected"),
    (["swep"], "unknown command 'swep'; known are report, single, doctor, plot"),
    (["report", "--resume", "x"], "leave out report"),
    (["single", "--peers", "2,3"], "one number of hosts"),
])
def test_refuses(argv, message, capsys):
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("sweep.py: ") and err.count("\n") == 1


def test_more_hosts_than_the_machine_holds(monkeypatch):
    gib = 1 << 30
    assert checks.most_peers(8 * gib, None, gib) == (6, "memory")
    assert checks.most_peers(8 * gib, 3 * gib, gib) == (2, "room for their files")
    assert checks.most_peers(9999 * gib, None, 1) == (checks.BRIDGE_PORTS, "ports of a Linux bridge")
    with pytest.raises(options.Wrong, match="90000 peers with 10 MiB each: this machine holds"):
        checks.choose_data(grid("--peers", "90000"), None)


def test_all_hosts_of_a_point_are_counted():
    assert checks.most_hosts(grid("--peers", "2,5", "--system", "swarm")) == 5
    assert checks.most_hosts(grid("--peers", "2,5", "--system", "swarm", "--origins", "40x3", "--hostile", "liar:4",
                                  "--seeder", "5")) == 12


def test_data_directory_must_be_writable():
    with pytest.raises(options.Wrong, match="not a directory that can be written to"):
        checks.choose_data(grid(), "/nowhere")


def test_results_directory_must_be_writable(tmp_path):
    (tmp_path / "file").write_text("")
    for below in ("x", "x/y"):
        with pytest.raises(options.Wrong, match="results directory .*: Not a directory"):
            cli.check_out(str(tmp_path / "file" / below))
    cli.check_out(str(tmp_path / "new" / "directory"))
    assert os.listdir(tmp_path) == ["file"]  # what is only looked at is not made


def test_sweeps_that_look_at_one_directory_do_not_disturb_each_other(tmp_path):
    for out in (tmp_path, tmp_path / "new"):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(cli.check_out, [str(out)] * 2000))


def test_results_are_not_overwritten(tmp_path):
    (tmp_path / results.CONFIG).write_text("{}")
    with pytest.raises(options.Wrong, match="has a sweep already: go on with --resume"):
        cli.check_out(str(tmp_path))


def test_files_fit_in_memory_or_go_to_the_disk(tmp_path, monkeypatch):
    assert checks.choose_data(grid("--peers", "2"), None) is None
    assert checks.choose_data(grid("--peers", "2"), str(tmp_path)) == str(tmp_path)
    monkeypatch.setattr(checks, "available_memory", lambda: 200 << 20)
    assert checks.choose_data(grid("--peers", "2", "--size", "300MiB"), None) == checks.DISK


def test_a_compile_error_shows_what_the_compiler_says(tmp_path, monkeypatch):
    (tmp_path / "Makefile").write_text("build:\n\t@echo './peerd/main.go:3:1: syntax error'; exit 2\n")
    monkeypatch.setattr(checks, "REPO", str(tmp_path))
    with pytest.raises(options.Wrong, match="(?s)do not build:.*main.go:3:1: syntax error$"):
        checks.build(["./peerd"])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(options.Wrong, match="(Go|make) is not installed"):
        checks.build(["./peerd"])


def test_programs_that_are_not_built_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "REPO", str(tmp_path))
    with pytest.raises(options.Wrong, match="bin/tracker is not there: leave out --no-build"):
        checks.check_programs(grid("--system", "swarm"), cli.registry.systems(), False)


def test_a_python_without_mininet_is_told(monkeypatch):
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None if name == "mininet" else name)
    with pytest.raises(options.Wrong, match="has no module mininet: run sweep.py with /usr/bin/python3"):
        checks.check_python()


def test_what_the_system_says_is_one_line(monkeypatch, capsys):
    def full():
        raise OSError(28, "No space left on device", "/x/sweep.json")
    assert cli.guarded(full) == 2
    assert capsys.readouterr().err == "sweep.py: /x/sweep.json: No space left on device\n"


def test_standard_output_is_named_only_where_it_is_the_cause():
    def no_more():
        raise OSError(errno.EMFILE, "Too many open files")

    with contextlib.redirect_stderr(io.StringIO()) as err:
        assert cli.guarded(no_more) == 2
        with io.TextIOWrapper(open("/dev/full", "wb", 0), write_through=True) as full, contextlib.redirect_stdout(full):
            assert cli.guarded(lambda: pulse.show("x")) == 2
    assert err.getvalue() == "sweep.py: Too many open files\nsweep.py: standard output: No space left on device\n"


def test_the_file_that_cannot_be_written_is_named():
    with pytest.raises(OSError) as e:
        driver.write_file("/dev/full", 5)
    assert e.value.filename == "/dev/full"


def test_results_are_not_put_among_other_files(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(options.Wrong, match="is not empty, .* choose another --out"):
        cli.check_out(str(tmp_path))


def test_too_few_open_files_are_told_before_the_sweep(monkeypatch):
    monkeypatch.setattr(checks.resource, "getrlimit", lambda what: (128, 128))
    monkeypatch.setattr(checks.os, "geteuid", lambda: 0)
    checks.check_machine(grid("--peers", "2"))
    with pytest.raises(options.Wrong, match="42 hosts need 400 open files, and 128 are allowed"):
        checks.check_machine(grid("--peers", "2,40"))


def test_too_few_open_files_are_not_the_directorys_fault():
    with pytest.raises(OSError, match="Too many"), driver.writing("/x"):
        raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("command", ["plot", "tables", "prom", "doctor"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as e:
        cli.main([command, "--help"])
    assert e.value.code == 0 and "sweep.py plot DIR" in capsys.readouterr().out


def test_there_is_nothing_to_go_on_with_before_a_sweep_began(tmp_path):
    assert cli.go_on(str(tmp_path)) == ""
    (tmp_path / results.CONFIG).touch()
    assert cli.go_on(str(tmp_path), "wait, and ") == f"; wait, and go on with: sweep.py --resume {tmp_path}"


def test_again_takes_an_earlier_sweep(capsys):
    assert cli.main(["--again"]) == 2
    assert "--resume DIR" in capsys.readouterr().err


@pytest.mark.parametrize("text", [
    "[]", "{}", '{"points": [], "repeat": 1}', '{"points": [{"system": "swarm"}], "repeat": 1}', "\xff",
    '{"points": [{"system": "foo", "peers": 2, "size": 5, "bw": 5.0}], "repeat": 1}',
    '{"points": [{"system": "swarm", "peers": "2", "size": 5, "bw": 5.0}], "repeat": 1}',
    *(json.dumps({"points": [{"system": "swarm", "peers": 2, "size": 5, "bw": 5.0, **odd}], "repeat": 1}) for odd in (
        {"size": 0}, {"size": 1000.5}, {"peers": 0}, {"hostile": "thief:1"}, {"switch": "x"}, {"topology": "ring"},
        {"uplinks": [1.0]}, {"links": [1.0]})),
    '{"points": [{"system": "swarm", "peers": 2, "size": 5, "bw": 5.0}], "repeat": 0}',
    '{"points": [{"system": "swarm", "peers": 2, "size": 5, "bw": 5.0}], "repeat": 1, "seed": [1]}'])
def test_a_broken_sweep_is_told_in_a_line(tmp_path, text, capsys):
    (tmp_path / results.CONFIG).write_text(text)
    for argv in (["plot", str(tmp_path)], ["tables", str(tmp_path)], ["--resume", str(tmp_path)]):
        assert cli.main(argv) == 2
        err = capsys.readouterr().err
        assert f"{tmp_path}: sweep.json is broken (" in err and err.count("\n") == 1


def test_a_directory_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["--peers", "2", "--out", str(tmp_path)]) == 2
    assert "the directory you are in has been removed" in capsys.readouterr().err


def test_resume_takes_no_other_parameters(tmp_path, capsys):
    assert cli.main(["--resume", str(tmp_path), "--size", "1MiB"]) == 2
    assert "leave out --size" in capsys.readouterr().err
    assert cli.main(["--resume", str(tmp_path)]) == 2
    assert "no sweep there" in capsys.readouterr().err


def test_plot_needs_a_sweep(tmp_path, capsys):
    assert cli.main(["plot", str(tmp_path)]) == 2
    assert cli.main(["plot", str(tmp_path / "none")]) == 2
    assert cli.main(["plot"]) == 2
    assert "plot takes one directory" in capsys.readouterr().err


def test_without_root(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["--peers", "2"]) == 2
    assert "needs root" in capsys.readouterr().err


def test_unknown_congestion_control(monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cli.main(["--cc", "carrier-pigeon"]) == 2
    assert "this kernel has" in capsys.readouterr().err
