"""A bit inside a register: `state_bits` says in one register what the bit points and the coils say one by one
(manual 3.6, Bit inside the register)."""

from __future__ import annotations

import pytest

from tests.kit import Kit
from tests.points.contract import BY_NAME, ENUMS

TOML = '[[charge_point]]\nnumber = 3\nidentity = "CP003"\nconnectors = 2\n'
CP = 3000 * 3
STATUSES = ("Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved",
            "Unavailable", "Faulted")  # fmt: skip


def expect_agreement(kit: Kit) -> None:
    """Register, matrix, bit points and coils, of the whole charge point and of each connector."""
    for k in (0, 1, 2):
        block, enum = ("connector", "connector_bits") if k else ("charge_point", "charge_point_bits")
        at = CP + 300 * k
        word = kit.read(at + BY_NAME[block, "state_bits"].offset)
        assert kit.read(1200 + 8 * 2 + k) == word
        bits = kit.read(at, 32)
        coils = int.from_bytes(kit.bank_1.read_bits(at, 32), "little")
        for name, number in ENUMS[enum].items():
            assert BY_NAME[block, name].offset == number
            assert word >> number & 1 == bits[number] == coils >> number & 1, (k, name)
        assert word >> len(ENUMS[enum]) == 0


@pytest.mark.parametrize("status", STATUSES)
def test_every_bit_is_its_point_and_its_coil(status: str) -> None:
    kit = Kit(TOML)
    expect_agreement(kit)
    end = kit.connect("CP003")
    end.boot()
    end.status(1, status)
    end.status(2, "Available")
    expect_agreement(kit)
    kit.write(18, 3)  # list_then_accept
    end.send("StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": kit.stamp()})
    sampled = [{"value": "7000", "measurand": "Power.Active.Import"}]
    values = [{"timestamp": kit.stamp(), "sampledValue": sampled}]
    end.send("MeterValues", {"connectorId": 1, "meterValue": values})
    expect_agreement(kit)
    kit.write(18, 0)
    end.send("Authorize", {"idTag": "T"})
    expect_agreement(kit)
    end.disconnect()
    expect_agreement(kit)


def test_the_bits_say_what_they_are_called() -> None:
    kit = Kit(TOML)
    end = kit.connect("CP003")
    end.boot()
    end.status(1, "Charging")
    end.send("Authorize", {"idTag": "T"})

    def said(block: str, enum: str, k: int) -> set[str]:
        word = kit.read(CP + 300 * k + BY_NAME[block, "state_bits"].offset)
        return {name for name, number in ENUMS[enum].items() if word >> number & 1}

    assert said("charge_point", "charge_point_bits", 0) == {"connected", "registered", "charging", "decision_pending"}
    assert said("connector", "connector_bits", 1) == {"plugged", "charging"}
    assert said("connector", "connector_bits", 2) == set()
    end.disconnect()
    assert said("connector", "connector_bits", 1) == {"plugged", "charging", "comm_error"}
