"""A bridged charge point without sockets: a kit, the charge point's end of the wire, and the central system's."""

from __future__ import annotations

import json
from typing import Any

from gatewayd.ocpp.bridge import Bridge
from gatewayd.ocpp.session import Close, Send
from gatewayd.site.timestamp import format_utc
from tests.kit import Kit, WireEnd

TOML = """
[gateway]
role = "bridge"
[ocpp.upstream]
url = "ws://central/ocpp"
local_control = {control}
"""
BOOT = {"chargePointVendor": "Kit", "chargePointModel": "Wire", "chargePointSerialNumber": "S1"}


class Bridged(WireEnd):
    """Both ends of one bridged connection. `up` is what the central system got and did not look at yet, `down` what
    the charge point got; `say` and `centre_says` are what they say, as texts."""

    def __init__(self, kit: Kit, identity: str = "CP001") -> None:
        self.kit = kit
        self.session = Bridge(kit.site.charge_points[identity], "ours-", kit.config.ocpp.call_timeout_s)
        self.bridge: Any = self.session
        self.closed: tuple[int, str] | None = None
        self.closed_upstream: tuple[int, str] | None = None
        self._sent = []
        self._numbers = 0
        self.session.opened(kit.now)

    @property
    def cp(self) -> Any:
        return self.session.charge_point

    def say(self, *texts: str | bytes) -> None:
        for text in texts:
            self.session.received(text, self.kit.now)

    def centre_says(self, *texts: str | bytes) -> None:
        for text in texts:
            self.bridge.upstream_received(text, self.kit.now)

    def up(self) -> list[str | bytes]:
        """What the central system got, as it came."""
        found: list[str | bytes] = []
        while self.bridge.upstream_words:
            word = self.bridge.upstream_words.popleft()
            if isinstance(word, Send):
                found.append(word.text)
            else:
                self.closed_upstream = (word.code, word.reason)
        return found

    def down(self) -> list[str | bytes]:
        """What the charge point got, as it came."""
        found: list[str | bytes] = []
        while self.session.words:
            word = self.session.words.popleft()
            if isinstance(word, Send):
                found.append(word.text)
            elif isinstance(word, Close):
                self.closed = (word.code, word.reason)
        return found

    def exchange(self, action: str, payload: Any, answer: Any, unique_id: str = "x") -> None:
        """A Call of the charge point and the central system's answer to it."""
        call = json.dumps([2, unique_id, action, payload])
        self.say(call)
        assert self.up() == [call]
        result = json.dumps([3, unique_id, answer])
        self.centre_says(result)
        assert self.down()[:1] == [result]

    def asked(self, action: str, payload: Any, answer: Any, unique_id: str = "c") -> None:
        """A Call of the central system and the charge point's answer to it."""
        call = json.dumps([2, unique_id, action, payload])
        self.centre_says(call)
        assert self.down() == [call]
        result = json.dumps([3, unique_id, answer])
        self.say(result)
        assert self.up() == [result]

    def boot_upstream(self, status: str = "Accepted", interval: int = 300) -> None:
        now = format_utc(self.kit.epoch)
        self.exchange("BootNotification", BOOT, {"status": status, "currentTime": now, "interval": interval})

    def start(self, transaction_id: int, connector: int = 1, meter: int = 1000, tag: str = "TAG") -> None:
        payload = {"connectorId": connector, "idTag": tag, "meterStart": meter, "timestamp": self.kit.stamp()}
        self.exchange(
            "StartTransaction", payload, {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}
        )


def bridged(control: bool = False, more: str = "") -> tuple[Kit, Bridged]:
    kit = Kit(TOML.format(control=str(control).lower()) + more)
    return kit, Bridged(kit)
