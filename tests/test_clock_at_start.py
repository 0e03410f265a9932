"""The gateway's clock at its start (modbus.md, Time): it is not ahead by what the ledger took to load."""

from pathlib import Path

from gatewayd import config
from gatewayd.app import Gateway
from gatewayd.services.front_panel import FrontPanel
from gatewayd.state_directory import Paths


async def test_the_two_clocks_are_read_together_before_anything_slow(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "gateway.toml", tmp_path)
    loaded = []

    def wall() -> float:
        loaded.append(paths.ledger.exists())
        return 1.8e9

    Gateway(config.parse("", "gateway.toml"), paths, FrontPanel(None), wall=wall, threads=False)

    assert loaded == [False], "the ledger was loaded between the reading of the one clock and of the other"
