"""Which settings hold, and what is published."""

import json
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from hal.fallback import Facts, Wanted, begin, decide
from hal.lease import Lease
from hal.network_files import (
    LeaseFile,
    OpenPorts,
    Publisher,
    SettingsSource,
    Trial,
    facts_text,
    parse_trial,
    remembered,
    resolver_text,
    time_sources_text,
    trial_text,
)
from hal.network_settings import NetworkSettings

STATIC = NetworkSettings("static", IPv4Interface("10.0.0.5/24"))


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    return SettingsSource(tmp_path / "gateway.toml", tmp_path / "trial.json")


def configure(directory: Path, text: str) -> None:
    (directory / "new").write_text(text)
    (directory / "new").replace(directory / "gateway.toml")


def test_no_configuration_is_dhcp(source: SettingsSource) -> None:
    assert source.look(0.0) == NetworkSettings()


def test_the_configuration_is_followed_and_its_changes_are(source: SettingsSource, tmp_path: Path) -> None:
    configure(tmp_path, '[gateway]\nname = "x"\n[network]\nmode = "static"\naddress = "10.0.0.5/24"\n')
    assert source.look(0.0) == STATIC
    configure(tmp_path, '[network]\nmode = "dhcp"\n')
    assert source.look(1.0) == NetworkSettings()
    (tmp_path / "gateway.toml").unlink()
    assert source.look(2.0) == NetworkSettings()


@pytest.mark.parametrize("text", ["[network", '[network]\nmode = "static"\n', "network = 5\n", "\x00"])
def test_a_bad_configuration_keeps_what_was_and_says_so(source: SettingsSource, tmp_path: Path, text: str) -> None:
    configure(tmp_path, text)
    assert source.look(0.0) == NetworkSettings()
    assert str(tmp_path) in source.fault
    configure(tmp_path, '[network]\nmode = "static"\naddress = "10.0.0.5/24"\n')
    assert source.look(1.0) == STATIC
    assert source.fault == ""
    configure(tmp_path, text)
    assert source.look(2.0) == STATIC
    assert source.fault != ""


def test_settings_on_trial_hold_until_their_time_is_over(source: SettingsSource, tmp_path: Path) -> None:
    (tmp_path / "trial.json").write_text(trial_text(Trial(60.0, STATIC)))
    assert source.look(59.0) == STATIC
    assert source.on_trial_until == 60.0
    assert source.look(60.0) == NetworkSettings()
    assert source.on_trial_until is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"until": "x", "network": {}}', '{"until": 5, "network": {"mode": 1}}']
)
def test_a_bad_trial_is_none(source: SettingsSource, tmp_path: Path, text: str) -> None:
    (tmp_path / "trial.json").write_text(text)
    assert source.look(0.0) == NetworkSettings()
    with pytest.raises(ValueError):
        parse_trial(text)


def test_open_ports_of_all_who_have_some(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, gateway = tmp_path / "image", tmp_path / "gateway"
    ports = OpenPorts([image, gateway])
    assert ports.look() == {}
    image.write_text('{"https": 443}')
    gateway.write_text('{"modbus_tcp": 502}')
    assert ports.look() == {"https": 443, "modbus_tcp": 502}
    for text in ("", "[]", '{"modbus_tcp": 0}', '{"modbus_tcp": true}', '{"modbus_tcp": "502; flush"}', "\x00"):
        gateway.write_text(text)
        assert ports.look() == ports.look() == {"https": 443, "modbus_tcp": 502}, "what it was before"
    assert caplog.text.count("modbus_tcp is no TCP port") == 1, "said once while it is the same"
    gateway.unlink()
    assert ports.look() == {"https": 443}


def test_lease_file(tmp_path: Path) -> None:
    file = LeaseFile(tmp_path / "lease")
    assert file.look() is None
    file.path.write_text("event=bound\nat=5\nip=10.9.0.100\nmask=24\nlease=3600\n")
    assert isinstance(file.look(), Lease)
    file.path.write_text("event=bound\nat=5\nip=nonsense\n")
    assert file.look() is None
    file.path.write_bytes(b"\xff")
    assert file.look() is None


def test_facts_tell_a_netd_that_starts_again() -> None:
    state, wanted = decide(begin(NetworkSettings(), 0.0), Facts(True), 0.0)
    for second in range(1, 40):
        state, wanted = decide(state, Facts(True), float(second))
    text = facts_text("eth0", "02:00:00:00:aa:01", state, wanted)
    facts = json.loads(text)
    assert facts["addresses"] == ["192.168.100.246/24"]
    assert facts["source"] == "fallback"
    assert facts["lease_ends_at_s"] is None
    assert remembered(text) == (0.0, ["192.168.100.246/24"])
    again = begin(NetworkSettings(), 40.0, asking_since=0.0, owned=(IPv4Address("192.168.100.246"),))
    assert decide(again, Facts(False), 40.0)[1].addresses == wanted.addresses


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"asking_since_s": null, "addresses": []}'])
def test_facts_of_nobody(text: str | None) -> None:
    assert remembered(text) is None


def test_resolver_and_time_sources() -> None:
    wanted = Wanted(dns=(IPv4Address("10.9.0.53"),), ntp=("10.9.0.9", "time.example"), domain="plant.example")
    assert resolver_text(wanted) == "# written by netd\nsearch plant.example\nnameserver 10.9.0.53\n"
    assert time_sources_text(wanted) == "server 10.9.0.9 iburst\nserver time.example iburst\n"


def test_publisher_writes_only_what_changed(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    publisher.publish("facts", "one")
    first = (tmp_path / "facts").stat().st_ino
    publisher.publish("facts", "one")
    assert (tmp_path / "facts").stat().st_ino == first
    publisher.publish("facts", "two")
    assert (tmp_path / "facts").read_text() == "two"


def test_a_directory_that_is_gone_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(tmp_path / "run")
    publisher.publish("facts", "one")
    assert "cannot be published" in caplog.text
    (tmp_path / "run").mkdir()
    publisher.publish("facts", "one")
    assert (tmp_path / "run" / "facts").read_text() == "one"
