"""The site as the page is told it: plain members for JSON (docs/interfaces.md, The snapshot). No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, IntFlag
from typing import Any

from gatewayd.config_tables import ChargePoint as Entry
from gatewayd.config_tables import Config
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import (
    DiskState,
    ErrorCode,
    FeatureBits,
    LimitResult,
    LinkState,
    QuirkBits,
    RateUnit,
    Status,
    StopReason,
    TimeSource,
)
from gatewayd.site.connector import Connector
from gatewayd.site.limit import NO_LIMIT
from gatewayd.site.model import BankRecords, Site
from gatewayd.site.refusal import Refusal
from gatewayd.site.transaction import Transaction

Members = dict[str, Any]


def code_name(kind: type[IntEnum], code: int | None) -> str | None:
    """The name of a code; a code without one is `unlisted` text of a peer."""
    if code is None:
        return None
    try:
        return kind(code).name
    except ValueError:
        return "unlisted"


def bit_names(kind: type[IntFlag], bits: int) -> list[str]:
    return [str(each.name) for each in kind if bits & each]


def gateway(site: Site) -> Members:
    """What does not change between two looks is added by whoever knows it: the process, the interpreter."""
    return {
        "name": site.name,
        "serial": site.serial,
        "firmware": site.firmware,
        "role": site.role.name,
        "state": site.state.name,
        "faults": sorted(site.troubles),
        "disk": code_name(DiskState, site.disk_state),
        "clock": code_name(TimeSource, site.clock.source),
        "started": site.clock.epoch(site.started),
        "config_checksum": site.config_checksum,
        "upstream_stranded": [
            {"charge_point": number, "messages": messages} for number, messages in sorted(site.stranded.items())
        ],
    }


def charge_point(cp: ChargePoint, entry: Entry | None, unit: int) -> Members:
    """One charge point with its connectors. `unit`: its bank's unit id; `entry`: its line of the configuration."""
    identity, site = cp.identity, cp.bank.site
    return {
        "number": cp.number,
        "identity": cp.name,
        "unit": unit,
        "place": cp.place,
        "role": cp.role.name,
        "profile": entry.profile if entry else "",
        "simulated": entry.simulated if entry else False,
        "allowed": bool(cp.allowed),
        "connected": cp.connected,
        "link": code_name(LinkState, cp.link_state),
        "silent": cp.silent,
        "registered": cp.registered,
        "upstream": cp.upstream if cp.bridged else None,
        "upstream_waiting": site.backlog.count(cp.number),
        "upstream_aside": site.backlog.aside(cp.number),
        "upstream_lost": site.backlog.losses[cp.number],
        "address": cp.address or None,
        "connected_since": cp.connected_epoch if cp.connected else None,
        "last_message": None if cp.message_at is None else site.clock.epoch(cp.message_at),
        "security_profile": cp.security_profile,
        "authenticated": cp.authenticated,
        "round_trip_ms": cp.round_trip_ms,
        "reconnects": cp.reconnects,
        "call_timeouts": cp.call_timeouts,
        "vendor": identity.vendor,
        "model": identity.model,
        "serial": identity.serial,
        "firmware": identity.firmware,
        "quirks": bit_names(QuirkBits, cp.quirks),
        "features": bit_names(FeatureBits, cp.features),
        "clock_bad": cp.clock_bad,
        "connectors": [connector(each) for each in cp.real_connectors],
    }


def connector(c: Connector) -> Members:
    limit = c.limit
    in_force = limit.active if limit.active is not None and limit.active != NO_LIMIT else None
    return {
        "number": c.number,
        "status": code_name(Status, c.status),
        "error": code_name(ErrorCode, c.error_code),
        "vendor_error": c.vendor_error_code,
        "plugged": c.plugged,
        "power_w": c.meter.power_active_import_w,
        "energy_wh": c.meter.energy_active_import_wh,
        "limit": None if in_force is None else {"value": in_force / 10, "unit": RateUnit(limit.active_unit).name},
        "limit_result": code_name(LimitResult, limit.result),
        "transaction": None if c.transaction is None else transaction(c.transaction),
    }


def transaction(t: Transaction) -> Members:
    return {
        "id": t.id,
        "id_tag": t.id_tag,
        "started": t.start_epoch,
        "stopped": t.stop_epoch,
        "energy_wh": t.energy_wh,
        "stop_reason": code_name(StopReason, t.stop_reason),
        "incomplete": t.incomplete,
    }


def refusal(told: Refusal) -> Members:
    return {
        "cause": told.cause.value,
        "why": told.why,
        "remedy": told.remedy,
        "identity": told.identity,
        "address": told.address,
        "status": told.status or None,
    }


def turned_away(site: Site) -> Members:
    """Who knocks, who was refused, and how often for what."""
    refusals = site.refusals
    return {
        "knocking": [
            {"identity": each.identity, "address": each.address, "first": each.first, "last": each.last,
             "count": each.count}
            for each in refusals.knocking
        ],
        "refusals": [
            {**refusal(each.refusal), "first": each.first, "last": each.last, "count": each.count}
            for each in refusals.latest
        ],
        "refused": {cause.value: count for cause, count in refusals.counts.items()},
    }  # fmt: skip


def written(banks: Iterable[BankRecords], first_unit: int, *, news_only: bool = False) -> list[Members]:
    """Who wrote what last. `news_only`: since it was last asked so; that is forgotten with it."""
    found = []
    for bank in banks:
        addresses: Iterable[int] = sorted(bank.written_news) if news_only else bank.written
        for address in addresses:
            told = bank.written[address]
            found.append(
                {
                    "unit": first_unit + bank.number - 1,
                    "address": address,
                    "registers": told.registers,
                    "client": told.client,
                    "time": told.epoch,
                }
            )
        if news_only:
            bank.written_news.clear()
    return found


def entries(config: Config) -> Mapping[int, Entry]:
    """Number → what is configured."""
    return {entry.number: entry for entry in config.charge_points}
