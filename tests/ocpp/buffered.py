"""A bridged charge point whose central system may be away, without sockets: both ends of it (ocpp.md, Bridge)."""

from __future__ import annotations

import json
from typing import Any

from gatewayd.ocpp.buffered_bridge import BufferedBridge
from gatewayd.ocpp.telling import ATTEMPTS_MAX
from gatewayd.site.codes import DecisionDefault
from gatewayd.site.timestamp import format_utc
from tests.kit import Frame, Kit
from tests.ocpp.bridged import Bridged

TOML = """
[gateway]
role = "bridge"
[ocpp.upstream]
url = "ws://central/ocpp"
offline = "buffer"
local_control = true
"""
DECIDED_S = 9.0
"""After `decision_timeout` the default was used."""


class Buffered(Bridged):
    """Both ends; the central system's is away until `centre_comes`."""

    def __init__(self, kit: Kit, identity: str = "CP001") -> None:
        self.kit = kit
        self.session = BufferedBridge(kit.site.charge_points[identity], "ours-", 60, 60)
        self.bridge: Any = self.session
        self.closed = self.closed_upstream = None
        self._sent = []
        self._numbers = 0
        self.session.opened(kit.now)

    def centre_comes(self) -> None:
        self.bridge.upstream_opened(self.kit.now)

    def centre_goes(self) -> None:
        self.bridge.upstream_closed(self.kit.now)

    def hung_up(self) -> tuple[int, str] | None:
        """With which code and reason our side gave the link to the central system up since this was asked last."""
        said, self.closed_upstream = self.closed_upstream, None
        return said

    def told(self) -> Frame | None:
        """What the central system is told, one Call at most."""
        texts = self.up()
        assert len(texts) <= 1
        return Frame(*json.loads(texts[0])[1:4]) if texts else None

    def centre_answers(self, call: Frame, payload: Any) -> None:
        self.centre_says(json.dumps([3, call.id, payload]))

    def centre_boots(self) -> None:
        """It is told the BootNotification, and accepts it."""
        boot = self.told()
        assert boot is not None
        assert boot.action == "BootNotification"
        self.centre_answers(boot, self.centre_answer(boot.action, 0, ""))

    def centre_refuses(self, action: str) -> None:
        """It is told such a message, and answers with an error."""
        call = self.told()
        assert call is not None
        assert call.action == action
        self.centre_says(f'[4,"{call.id}","InternalError","",{{}}]')

    def centre_refuses_for_good(self, action: str) -> None:
        """It answers such a message with an error, however often it is told."""
        for _ in range(ATTEMPTS_MAX):
            self.centre_refuses(action)
            self.kit.run_for(15)

    def drain(self, transaction_id: int = 71, status: str = "Accepted") -> list[Frame]:
        """Answers everything that the central system missed; what that was."""
        missed: list[Frame] = []
        while (call := self.told()) is not None:
            missed.append(call)
            self.centre_answers(call, self.centre_answer(call.action, transaction_id, status))
        return missed

    def centre_answer(self, action: str, transaction_id: int, status: str) -> Any:
        if action == "BootNotification":
            return {"status": "Accepted", "currentTime": format_utc(self.kit.epoch), "interval": 300}
        if action == "StartTransaction":
            return {"transactionId": transaction_id, "idTagInfo": {"status": status}}
        return {}

    def begin(self, connector: int = 1, meter: int = 1000) -> Any:
        return self.send(
            "StartTransaction",
            {"connectorId": connector, "idTag": "TAG", "meterStart": meter, "timestamp": self.kit.stamp()},
        )

    def meter(self, wh: int, transaction_id: int, unique_id: str | None = None) -> Any:
        sample = {"timestamp": self.kit.stamp(), "sampledValue": [{"value": str(wh)}]}
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [sample]}
        return self.send("MeterValues", payload, unique_id)

    def finish(self, transaction_id: int, meter: int = 3000) -> Any:
        payload = {
            "transactionId": transaction_id,
            "meterStop": meter,
            "timestamp": self.kit.stamp(),
            "reason": "Local",
        }
        return self.send("StopTransaction", payload)


def buffered(more: str = "") -> tuple[Kit, Buffered]:
    kit = Kit(TOML + more)
    kit.site.decision_default = DecisionDefault.accept
    return kit, Buffered(kit)


def begun(kit: Kit, end: Buffered, meter: int = 1000) -> int:
    """A transaction that began without the central system; the id that the charge point got."""
    assert end.begin(meter=meter) is None, "it waits for the BMS"
    kit.run_for(DECIDED_S)
    answer = end.answer_to(f"cp-{end._numbers}")
    assert answer["idTagInfo"]["status"] == "Accepted"
    return int(answer["transactionId"])
