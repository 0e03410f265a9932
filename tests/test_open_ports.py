"""Which of its ports the gateway has opened in the packet filter, and how that is published."""

from pathlib import Path

import pytest

from gatewayd.config import parse
from gatewayd.served import open_ports
from gatewayd.state_directory import Paths, announce
from hal import contract

WSS = {"modbus_tcp": 502, "ocpp_tls": 8888}
BOUND = {"modbus_tcp": 502, "ocpp": 8887, "ocpp_tls": None, "web": None, "metrics": 9100}


@pytest.mark.parametrize(
    ("text", "bound", "wanted"),
    [
        ("", {}, {"modbus_tcp": 502, "ocpp": 8887}),
        ("[modbus.tcp]\nenabled = false\n", {"modbus_tcp": None}, {"ocpp": 8887}),
        ("[modbus.tcp]\nport = 0\n", {"modbus_tcp": 40001}, {"modbus_tcp": 40001, "ocpp": 8887}),
        ('[modbus.tcp]\nhost = "127.0.0.1"\n', {}, {"ocpp": 8887}),
        ('[modbus.tcp]\nhost = "::1"\n[ocpp]\nhost = "localhost"\n', {}, {}),
        ("[ocpp]\nport = -1\n[ocpp.tls]\nport = 8888\n", {"ocpp": None, "ocpp_tls": 8888}, WSS),
        ('[metrics]\nhost = "0.0.0.0"\n', {}, {"modbus_tcp": 502, "ocpp": 8887, "metrics": 9100}),
        ("", {"metrics": None, "modbus_tcp": None}, {"ocpp": 8887}),
    ],
    ids=["as delivered", "off", "any port", "this machine", "by name", "wss only", "metrics", "taken by others"],
)  # fmt: skip
def test_what_others_are_to_reach(text: str, bound: dict[str, int | None], wanted: dict[str, int]) -> None:
    assert open_ports(parse(text.encode(), "file"), {**BOUND, **bound}) == wanted


def test_it_is_published_where_the_packet_filter_looks(tmp_path: Path) -> None:
    state, run = tmp_path / "state", tmp_path / "run"
    state.mkdir()
    run.mkdir()
    for wanted in ({"ocpp": 8887}, {"ocpp": 8887, "modbus_tcp": 502}):
        announce(Paths(tmp_path / "file", state, run), BOUND, wanted)
        assert contract.open_ports((run / Path(contract.OPEN_PORTS).name).read_text()) == wanted
    assert [path.name for path in run.iterdir()] == ["open_ports.json"]


def test_without_a_place_for_it_it_is_not(tmp_path: Path) -> None:
    announce(Paths(tmp_path / "file", tmp_path), BOUND, {"ocpp": 8887})
    assert [path.name for path in tmp_path.iterdir()] == ["ports.json"]
