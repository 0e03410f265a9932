"""What a central system has still to hear of a charge point that left the bridge role, sans-IO (ocpp.md, Bridge).

The charge point is served as its new role wants, and this tells its former central system what waits, over a link of
its own: first who it is, then message by message. When nothing waits any more the link is closed for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.ocpp import frames
from gatewayd.ocpp.bridge import BOOT, GOING_AWAY
from gatewayd.ocpp.session import Close, Send
from gatewayd.ocpp.telling import TellingBridge

ELSEWHERE = "the charge point has another central system now"


@dataclass(eq=False, slots=True)
class Farewell(TellingBridge):
    """No charge point's session: only the central system's end of it."""

    @property
    def reaches_out(self) -> bool:
        return self.charge_point.bank.site.backlog.count(self.charge_point.number) > 0

    def upstream_opened(self, now: float) -> None:
        cp = self.charge_point
        cp.bank.site.advance(now)
        self.is_open = self._heard = True
        cp.standing.unheard &= {BOOT}  # how it stands now is no business of this central system
        if BOOT in cp.standing.texts:
            cp.standing.unheard.add(BOOT)
        self._telling_begins(now)

    def upstream_received(self, text: str | bytes, now: float) -> None:
        self.charge_point.bank.site.advance(now)
        frame = frames.parse(text)
        if isinstance(frame, frames.Call):
            self._tell_upstream(Send(frames.call_error(frame.id, frames.ErrorCode.GENERIC_ERROR, ELSEWHERE)))
        elif self.told is not None and frame.id == self.told.id:
            self._heard_back(self.told, frame, now)
            if not self.reaches_out:
                self.there = False
                self._tell_upstream(Close(GOING_AWAY, "everything was told"))

    def upstream_closed(self, now: float) -> None:
        self.charge_point.bank.site.advance(now)
        self.is_open = False
        self._telling_ends()
        self.upstream_words.clear()

    def _booted_upstream(self, frame: frames.CallResult, now: float) -> None:
        """Its time is not the charge point's any more."""
        told_offset_s = self.charge_point.told_offset_s
        TellingBridge._booted_upstream(self, frame, now)
        self.charge_point.told_offset_s = told_offset_s

    def _began(self, own: int, theirs: int, status: str, now: float) -> None:
        """What is told later names it so. The charge point and its new role go on with the id that they have."""
        if own and theirs != own:
            cp = self.charge_point
            cp.upstream_ids.learn(own, theirs, cp.bank.site.journal, self._runs)
