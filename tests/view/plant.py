"""A plant in which everything has a value."""

from __future__ import annotations

from tests.kit import Kit


def busy_plant(charge_points: int) -> Kit:
    """So many charge points with seven connectors that charge."""
    kit = Kit(
        "".join(
            f'[[charge_point]]\nnumber = {number}\nidentity = "CP{number:04}"\nconnectors = 7\n'
            for number in range(1, charge_points + 1)
        )
    )
    for charge_point in kit.site.charge_points.values():
        for connector in charge_point.connectors:
            connector.meter.power_active_import_w = 7360.5
            connector.meter.energy_active_import_wh = 123456.0
            connector.limit.active = 160
    return kit
