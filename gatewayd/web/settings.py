"""Where webd finds and keeps things."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hal.contract import NETWORK_FACTS, STEWARD_SOCKET

CARD_OUTCOME = Path("/run/card-restore/restore.txt")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says. `run` and `authority` belong to gatewayd; webd writes `state`, and `config`."""

    config: Path
    """The configuration file: gatewayd reads it, webd edits it."""
    state: Path
    """webd's own: users, audit trail, the configurations before this one. A factory reset empties it."""
    run: Path
    """Where gatewayd's sockets are."""
    gateway_state: Path | None = None
    """gatewayd's state directory where webd may read it (development); None: stewardd is asked for it."""
    appliance: bool = False
    """HTTPS on 443 at every address, and a power-on that the kernel knows of."""
    steward: Path = Path(STEWARD_SOCKET)
    network_facts: Path = Path(NETWORK_FACTS)
    """What netd publishes of the addresses: webd's own network is none. Missing on a machine that is no appliance."""
    card_outcome: Path = CARD_OUTCOME
    """What came of a backup that lay on the card at this start; missing where none did."""

    @property
    def points_socket(self) -> Path:
        return self.run / "points.sock"

    @property
    def events_socket(self) -> Path:
        return self.run / "events.sock"

    @property
    def certificate(self) -> Path:
        """Key and chain that gatewayd's authority made for the page, PEM."""
        return self.run / "page.pem"

    @property
    def site_certificate(self) -> Path:
        """The same of the site's own authority, while there is one."""
        return self.run / "page-site.pem"

    @property
    def users(self) -> Path:
        return self.state / "users.json"

    @property
    def users_restored(self) -> Path:
        """Users of a backup, ready for the moment when gatewayd's state is the backup's."""
        return self.state / "users.restored"

    @property
    def gateway_files(self) -> Path:
        """gatewayd's state: of what is in it, webd may read what gatewayd's group may."""
        return self.config.parent if self.gateway_state is None else self.gateway_state

    @property
    def audit(self) -> Path:
        return self.state / "audit.jsonl"

    @property
    def announced(self) -> Path:
        """Where the page is: `{"url": "http://127.0.0.1:8080/", "host": "127.0.0.1", "port": 8080}`."""
        return self.state / "web.json"

    @property
    def last_good(self) -> Path:
        """The configuration before the last change that gatewayd took over."""
        return self.state / "last_good.toml"
