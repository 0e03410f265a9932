"""What a network does to the frames that it carries: nothing on a calm day, otherwise what the seed says.

Garbling is what a receiver can see to be wrong: bytes that are no UTF-8, half messages, texts that are no OCPP, headers
of another protocol. A digit that turns into another digit inside a valid message is nothing that anybody could notice;
TCP's checksums are there against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import NamedTuple

from tests.journeys.frames import Frame, websocket_text

UP, DOWN = "up", "down"  # towards the gateway, and away from it


class Kind(Enum):
    cut = auto()  # the connection ends without a word, for both sides
    blackout = auto()  # nothing is carried for a while, either way; then it goes on, as TCP does
    delay = auto()
    duplicate = auto()  # the message comes twice, one right behind the other
    echo = auto()  # towards the gateway only: the message comes once more, later
    reorder = auto()  # the next message overtakes this one
    garble = auto()


class Fault(NamedTuple):
    kind: Kind
    seconds: float = 0.0


CALM = Fault(Kind.delay, 0.0)


@dataclass
class Weather:
    """`of` each frame; fair for those in `sheltered`, and for all once `odds` are zero."""

    random: Random
    odds: dict[Kind, float] = field(default_factory=dict)
    """How likely each fault is for one frame."""
    sheltered: set[str] = field(default_factory=set)
    """Peers that never have weather."""

    def of(self, who: str, direction: str, frame: Frame) -> Fault:
        if who in self.sheltered or not self.odds:
            return CALM
        lot = self.random.random()
        for kind, odds in self.odds.items():
            lot -= odds
            if lot < 0:
                return self._fault(kind, direction, frame)
        return CALM

    def _fault(self, kind: Kind, direction: str, frame: Frame) -> Fault:
        random = self.random
        match kind:
            case Kind.blackout:
                return Fault(kind, random.choice((1.0, 4.0, 12.0, 40.0)) * random.uniform(0.5, 1.5))
            case Kind.delay:
                return Fault(kind, random.choice((0.05, 0.5, 3.0, 12.0)) * random.uniform(0.5, 1.5))
            case Kind.echo if direction == UP and frame.is_message:
                return Fault(kind, random.uniform(0.5, 20.0))
            case Kind.duplicate | Kind.reorder if frame.is_message:
                return Fault(kind, random.uniform(0.1, 2.0))
            case Kind.garble if direction == UP or frame.what != "head":  # the peers' library dies of a garbled 101
                return Fault(kind)
            case Kind.cut:
                return Fault(kind)
        return CALM

    def garbled(self, frame: Frame) -> list[Frame]:
        """What arrives instead of this frame."""
        if frame.what == "adu":
            return [Frame(self._garbled_adu(frame.data), "garbled")]
        from_client = frame.what == "message" and frame.data[1] & 0x80
        lot = self.random.randrange(4) if from_client else 0
        if lot == 1:
            text = frame.text[: self.random.randrange(len(frame.text))]
            return [Frame(websocket_text(text.encode()), "message", text)]
        if lot == 2:
            nonsense = self.random.choice(NONSENSE)
            return [Frame(websocket_text(nonsense.encode()), "message", nonsense), frame]
        first = self.random.choice((0, 14))  # the frame's own header as well, or only the text
        return [Frame(self._bits(frame.data, first), "garbled")]

    def _bits(self, data: bytes, first: int) -> bytes:
        """The same with the highest bit of a few bytes turned round: no byte of ours has it in a text."""
        turned = bytearray(data)
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(min(first, len(turned) - 1), len(turned))
            turned[at] ^= 0x80
        if turned == data:  # a bit that was turned twice
            turned[-1] ^= 0x80
        return bytes(turned)

    def _garbled_adu(self, data: bytes) -> bytes:
        """Another protocol, another length, or an unknown function."""
        turned = bytearray(data)
        lot = self.random.randrange(3)
        if lot == 0:
            turned[2] ^= 0x80
        elif lot == 1:
            turned[4] ^= 0x80
        elif len(turned) > 7:
            turned[7] |= 0x40
        return bytes(turned)


NONSENSE = (
    "", "hello", "null", "[]", "{}", "[2]", '[2,"x"]', '[2,7,"Heartbeat",{}]', '[3,"nobody",{}]',
    '[4,"nobody","GenericError","",{}]', '[2,"n1","Nonsense",{}]', '[2,"n2","MeterValues",{"connectorId":"one"}]',
    '[2,"n3","StatusNotification",{"connectorId":1,"errorCode":"NoError"}]', '[2,"n4","StartTransaction",[]]',
    "[" * 200, '[2,"n5","Heartbeat",{"a":NaN}]', '[2,"n6","DataTransfer",{"vendorId":"\\ud800"}]',
)  # fmt: skip
"""Texts that come between two messages: some owed an answer, none that changes anything."""
