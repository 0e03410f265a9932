"""What the gateway asks a charge point of its own accord: statuses it never heard, what it supports, its local list.

Serves ocpp.md, Calls: one question at a time, beginning 30 s after it registered, never for a model that takes them
amiss (quirks B3, C9). A charge point that does not answer is not asked further: three Calls without an answer would
close its link.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gatewayd.ocpp import own_triggers
from gatewayd.site.agenda import Entry
from gatewayd.site.capability import KEYS, UNSUPPORTED_LIST, Key, learn
from gatewayd.site.charge_point import ChargePoint
from gatewayd.site.codes import CommandCode, CommandError, FeatureBits, QuirkBits, Result
from gatewayd.site.command import Command, Report

SETTLE_S = 30.0
"""From registration to the first question (ocpp.md, Calls): a link that flaps is not burdened further."""
SLOT = "own/question"
DEAF = frozenset({CommandError.no_answer, CommandError.link_lost, CommandError.offline, CommandError.not_registered})
"""How a question fails where no further one would be answered."""


@dataclass(slots=True)
class Questions:
    """Asks every charge point that registers; `registered` belongs into the site's `on_registered`."""

    _due: dict[str, Entry] = field(default_factory=dict)
    """Identity → when its questions begin."""

    def registered(self, charge_point: ChargePoint, now: float) -> None:
        """Ask in a while; another Boot meanwhile begins the while anew."""
        earlier = self._due.pop(charge_point.name, None)
        if earlier is not None:
            earlier.cancel()
        agenda = charge_point.bank.site.agenda
        self._due[charge_point.name] = agenda.at(now + SETTLE_S, lambda then: _begin(charge_point, then))


def _begin(charge_point: ChargePoint, now: float) -> None:
    if (
        not charge_point.quirk_profile.own_questions
        or charge_point.bridged
        or charge_point.quirks & QuirkBits.boot_loop
    ):
        return
    own_triggers.ask_unknown_statuses(charge_point, now)
    _Round(charge_point).ask(now)


@dataclass(eq=False, slots=True)
class _Round:
    """The questions to one charge point, one after the other."""

    charge_point: ChargePoint
    keys: deque[Key] = field(default_factory=lambda: deque(KEYS))

    def ask(self, now: float) -> None:
        """The next question, if there is one left."""
        if self.keys:
            command = Command(CommandCode.GetConfiguration, self, key=self.keys[0].name, slot=SLOT)
            self.charge_point.offer(command, now)
            return
        lists = self.charge_point.features & FeatureBits.LocalAuthListManagement
        if lists:
            self.charge_point.offer(Command(CommandCode.GetLocalListVersion, self, slot=SLOT), now)
        elif self.charge_point.features:
            self._has_no_list()

    def report(self, command: Command, report: Report, now: float) -> None:
        if not report.final or report.error in DEAF:
            return
        if command.code is CommandCode.GetConfiguration:
            learn(self.charge_point, self.keys.popleft(), report.text if report.result == Result.Accepted else "")
            self.ask(now)
        elif report.error is CommandError.not_supported:
            self._has_no_list()

    def _has_no_list(self) -> None:
        self.charge_point.list_version = UNSUPPORTED_LIST
        self.charge_point.touch()
