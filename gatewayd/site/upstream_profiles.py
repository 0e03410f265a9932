"""The charging profiles that a central system upstream set on a charge point, as a plain record; what follows from
them is the business of `limit_upstream`."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatewayd.site.agenda import Entry
from gatewayd.site.charging_profile import Profile
from gatewayd.site.codes import ProfilePurpose


@dataclass(slots=True)
class UpstreamProfiles:
    """What the central system of one charge point set, as far as it was seen to be accepted."""

    held: dict[tuple[int, ProfilePurpose, int], Profile] = field(default_factory=dict)
    """(connector, purpose, stack level) → profile: a charge point keeps one for each."""
    look: Entry | None = None
    """When the next of them begins, changes or ends."""
