"""What a central system hears later of a charge point that left the bridge role while it was away (ocpp.md, Bridge)."""

from __future__ import annotations

from typing import Any

from gatewayd.ocpp.farewell import Farewell
from gatewayd.site.codes import Role
from tests.kit import Kit
from tests.ocpp.bridged import BOOT
from tests.ocpp.buffered import Buffered, begun, buffered


class Left(Buffered):
    """Both ends, of which the charge point's is served in the central system role now."""

    def __init__(self, kit: Kit) -> None:
        cp = kit.site.charge_points["CP001"]
        cp.role, cp.buffered = Role.central_system, False
        self.link = kit.connect("CP001")
        Buffered.__init__(self, kit)
        self.session.closed(kit.now)
        cp.link = self.link.session
        self.bridge = Farewell(cp, "ours-", 60)
        self.link.boot()


def left(*, over: bool) -> tuple[Kit, Left, int]:
    """And the id of a transaction that began before; `over`: and ended."""
    kit, end = buffered()
    end.send("BootNotification", BOOT)
    end.status(1, "Preparing")
    own = begun(kit, end)
    end.meter(1500, own)
    if over:
        end.finish(own, 2000)
    end.disconnect()
    return kit, Left(kit), own


def test_its_former_central_system_hears_all_that_waits_and_then_no_more() -> None:
    kit, end, _ = left(over=True)
    assert end.bridge.reaches_out
    end.centre_comes()
    missed = end.drain(71)
    assert [call.action for call in missed] == [
        "BootNotification",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
    ]
    assert missed[-1].payload["transactionId"] == 71
    assert (len(kit.site.backlog), end.bridge.reaches_out) == (0, False)
    assert end.hung_up() == (1001, "everything was told")


def test_a_transaction_that_goes_on_keeps_its_id_in_the_new_role() -> None:
    kit, end, own = left(over=False)
    end.centre_comes()
    end.drain(71, "Blocked")
    assert kit.site.charge_points["CP001"].transactions.by_id(own).open  # type: ignore[union-attr]
    assert end.link.calls() == [], "nobody ends it for the former central system"
    stop = {"transactionId": own, "meterStop": 2000, "timestamp": kit.stamp()}
    end.link.send("StopTransaction", stop)
    assert not kit.site.charge_points["CP001"].transactions.by_id(own).open  # type: ignore[union-attr]


def test_it_is_asked_nothing_any_more() -> None:
    kit, end, _ = left(over=True)
    end.centre_comes()
    end.centre_boots()
    end.up()
    asked: Any = '[2,"r","Reset",{"type":"Hard"}]'
    end.centre_says(asked)
    (refusal,) = end.up()
    assert refusal == '[4,"r","GenericError","the charge point has another central system now",{}]'
    assert [call.action for call in end.link.calls() if call.action == "Reset"] == []
    assert len(kit.site.backlog) == 3


def test_when_the_link_breaks_the_rest_waits_for_the_next_one() -> None:
    kit, end, _ = left(over=True)
    end.centre_comes()
    end.centre_boots()
    end.up()
    end.centre_goes()
    assert len(kit.site.backlog) == 3
    end.centre_comes()
    assert [call.action for call in end.drain(71)][1:] == ["StartTransaction", "MeterValues", "StopTransaction"]


def test_its_time_is_not_the_charge_points_any_more() -> None:
    kit, end, _ = left(over=True)
    told = kit.site.charge_points["CP001"].told_offset_s
    kit.run_for(7)
    end.centre_comes()
    boot = end.told()
    assert boot is not None
    end.centre_answers(boot, {"status": "Accepted", "currentTime": "2030-01-01T00:00:00Z", "interval": 300})
    assert kit.site.charge_points["CP001"].told_offset_s == told
