"""From a configuration to a site and its banks, at the start and again at SIGHUP; no sockets, no clock."""

from __future__ import annotations

import logging
from pathlib import Path

from gatewayd import config as configuration
from gatewayd import quirk_profiles
from gatewayd.config_tables import ChargePoint as ChargePointEntry
from gatewayd.config_tables import Config
from gatewayd.points.bank import Bank, Units
from gatewayd.points.block import Format
from gatewayd.product import VERSION
from gatewayd.services.ledger.database import Restored
from gatewayd.site import kept, limits, redating, upstream_ids, watchdog
from gatewayd.site.charge_point import CHARGE_POINTS_PER_BANK, ChargePoint
from gatewayd.site.codes import Role, TimeSource, WordOrder
from gatewayd.site.decision import informative_request
from gatewayd.site.journal import SaveFact
from gatewayd.site.model import Site
from gatewayd.site.slot import Slot
from gatewayd.site.transaction import TAKEN_OVER_MAX

log = logging.getLogger(__name__)

BACKUP = "restored_from"
"""The fact that tells which backup was taken note of."""
IDS_SINCE = 1_577_836_800
"""2020-01-01 as epoch: transaction ids of a gateway that lost its ledger are seconds since then."""
RESTARTING = 1012
"""WebSocket close code for a charge point whose entry changed: it dials again."""


def build_site(config: Config, started: float, epoch: float, serial: str) -> Site:
    """The site as configured, before anything was restored. `started` monotonic, `epoch` seconds since 1970."""
    site = Site(serial=serial, firmware=VERSION, started=started, now=started)
    site.clock.offset_s = epoch - started
    site.clock.source = TimeSource.host
    watchdog.attach(site)
    redating.attach(site)
    reconfigure(site, config, frozenset(entry.number for entry in config.charge_points))
    return site


def reconfigure(site: Site, config: Config, changed: frozenset[int]) -> None:
    """Make the site what the configuration says. Charge points whose number is in `changed` lose their link, and
    keep what is true of them: transactions, acks, settings go by the number, as over a restart."""
    site.role, site.name = Role[config.gateway.role], config.gateway.name
    site.config_checksum = configuration.checksum(config)
    site.word_order = WordOrder[config.modbus.word_order]
    site.notify_always = config.modbus.notify == "always"
    site.min_limit_interval_s = config.ocpp.min_limit_interval_s
    site.slots = {
        slot.number: Slot(slot.number, slot.url, pem_text(slot.certificate), slot.certificate_type, slot.signature)
        for slot in config.slots
    }
    former = {cp.number: cp for cp in site.charge_points.values() if cp.number in changed}
    for charge_point in former.values():
        site.remove_charge_point(charge_point)
        if charge_point.link is not None:
            charge_point.link.close(RESTARTING, "configuration changed")
    banks = max((entry.number for entry in config.charge_points), default=1)
    site.set_bank_count((banks - 1) // CHARGE_POINTS_PER_BANK + 1)
    for entry in config.charge_points:
        if entry.number in changed:
            _place(site, config, entry, former.get(entry.number))
    limits.reconsider_site(site, site.now)
    _tell_stranded(site)
    site.touch()


def _tell_stranded(site: Site) -> None:
    stranded = site.stranded.total()
    if stranded:
        log.warning("%d messages for central systems wait of charge points that are configured no more", stranded)


def pem_text(value: str) -> str:
    """A PEM of the configuration, which stands there inline or as a path; "" where the file cannot be read."""
    if not value or "-----BEGIN" in value:
        return value
    try:
        return Path(value).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        log.error("%s cannot be read: %s", value, error)
        return ""


def _place(site: Site, config: Config, entry: ChargePointEntry, former: ChargePoint | None) -> None:
    if former is None:
        charge_point = site.add_charge_point(entry.number, entry.identity, entry.connectors)
    else:
        charge_point = former
        charge_point.name = entry.identity
        charge_point.resize(entry.connectors)
        site.put_back(charge_point)
    charge_point.default_id_tag = entry.default_id_tag
    charge_point.max_current_a = entry.max_current_a
    charge_point.take_quirks(quirk_profiles.profile(entry.profile, entry.quirks))
    charge_point.role = Role[entry.role or config.gateway.role]
    upstream = config.ocpp.upstream
    charge_point.local_control = upstream.local_control if entry.local_control is None else entry.local_control
    charge_point.buffered = charge_point.bridged and upstream.offline == "buffer"


def restore_site(site: Site, restored: Restored, backup: str = "") -> None:
    """Put back what the ledger held, before anything can read the registers. `backup`: the id of the backup that the
    state comes from; empty: from none. What was given since it was made, no ledger knows: as if it were lost."""
    facts = restored.facts
    lossy = restored.lossy or facts.get(BACKUP, "") != backup
    kept.restore(site, facts)

    def number_of(name: str, without: int = 0) -> int:
        value = facts.get(name)
        return value if isinstance(value, int) else without

    # What must not repeat begins where a gateway that had been numbering since 2020, one a second, would be by now.
    beyond = max(1, int(site.epoch) - IDS_SINCE) if lossy else 1
    site.next_transaction_id = max(number_of("next_transaction_id"), beyond)
    site.next_own_id = max(number_of("next_own_id"), upstream_ids.FIRST + (beyond if lossy else 0))
    site.backlog.restore(restored.messages)
    by_number = {charge_point.number: charge_point for charge_point in site.charge_points.values()}
    for number, own, upstream in restored.upstream_ids:
        if number in by_number:
            by_number[number].upstream_ids.restore(own, upstream)
    for number, charge_point in by_number.items():
        charge_point.standing.restore(facts)
        charge_point.mailbox.ack = number_of(f"command_ack/{number}")
        charge_point.decisions.sequence = number_of(f"request_sequence/{number}", beyond % 0xFFFF if lossy else 0)
    for bank in site.banks:
        bank.profile.ack = number_of(f"profile_ack/{bank.number}")
    site.list_mailbox.ack = number_of("list_ack")
    site.tags.restore(restored.tags, number_of("list_version"))
    for number, transaction in restored.transactions:
        if transaction.id <= TAKEN_OVER_MAX:  # beyond are ids of a central system upstream
            site.next_transaction_id = max(site.next_transaction_id, transaction.id + 1)
        known = by_number.get(number)
        if known is None:
            continue
        known.transactions.add(transaction)
        connector = known.connector(transaction.connector)
        if connector is not None and (connector.open_transaction is None or transaction.open):
            connector.transaction = transaction
    for number, sequence, fields in restored.informative:
        if number in by_number:
            request = informative_request(sequence, fields)
            by_number[number].decisions.informative.append(request)
    if lossy:
        site.journal.write(SaveFact("next_transaction_id", site.next_transaction_id))
        site.journal.write(SaveFact("next_own_id", site.next_own_id))
        site.journal.write(SaveFact(BACKUP, backup))
    watchdog.restored(site)
    _tell_stranded(site)


def build_units(site: Site, config: Config) -> Units:
    """The banks of the site in the configured format, by unit id."""
    return Units(*_arrangement(site, config))


def rearrange(units: Units, site: Site, config: Config) -> None:
    """The same after a change of the configuration, for whoever holds `units` already."""
    units.arrange(*_arrangement(site, config))


def arrange_line(line: Units, units: Units, config: Config) -> None:
    """The same banks as they answer on the serial line, which may have a unit id of its own."""
    modbus = config.modbus
    line.arrange(units.banks(), modbus.rtu.unit_id or modbus.unit_id, modbus.charge_point_units)


def _arrangement(site: Site, config: Config) -> tuple[list[Bank], int, int]:
    modbus = config.modbus
    fmt = Format(
        WordOrder[modbus.word_order],
        modbus.string_order == "little",
        modbus.signed == "ones_complement",
        modbus.on_comm_error,
        modbus.hide_id_tags,
    )
    return [Bank(records, fmt) for records in site.banks], modbus.unit_id, modbus.charge_point_units
