"""Backup and restore for programs: make a file, look at one, put it in force; also on a gateway without a password."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatewayd.backup.container import PASSPHRASE_LONGEST, BadBackup
from gatewayd.web import entry
from gatewayd.web.api.asked import author, of
from gatewayd.web.api.json_body import nothing, said, taken
from gatewayd.web.backups import Looked
from gatewayd.web.editor import Author
from gatewayd.web.guard import form, upload
from gatewayd.web.pages.backup import UPLOAD_MOST_BYTES
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import Described, Role, Route
from gatewayd.web.steward import NotGranted, StewardAway

FILE = "application/octet-stream"
FORM = "multipart/form-data"

Passphrase = Annotated[str, msgspec.Meta(max_length=PASSPHRASE_LONGEST)]


class Sealed(msgspec.Struct, forbid_unknown_fields=True):
    """What the file is encrypted with: 12 characters or more."""

    passphrase: Passphrase


class Brought(msgspec.Struct):
    """A form with the file, and the passphrase that it was made with."""

    file: Annotated[str, msgspec.Meta(extra_json_schema={"contentMediaType": FILE, "format": "binary"})]
    passphrase: Passphrase


class Differs(msgspec.Struct):
    """A key of the configuration, a user, or the authority; null where it is not there."""

    what: str
    now: str | None
    then: str | None


class Examined(msgspec.Struct):
    """A backup that would do, and what would be different. `POST …/restore/{id}` puts it in force, within 15 minutes.
    `made`: seconds since 1970. `authority`: fingerprint of its certificate, SHA-256."""

    id: str
    name: str
    made: float
    firmware: str
    users: list[str]
    charge_points: int
    transactions: int
    running: int
    highest_transaction_id: int
    acks: int
    authority: str
    differences: list[Differs]


def _examined(looked: Looked) -> Examined:
    header, ledger = looked.backup.header, looked.backup.ledger
    return Examined(
        looked.id, header.name, header.made, header.firmware, [one.name for one in looked.backup.kept.users],
        len(looked.backup.config.charge_points), ledger.transactions, ledger.running, ledger.highest_id, ledger.acks,
        looked.backup.authority, [Differs(one.key, one.old, one.new) for one in looked.differences],
    )  # fmt: skip


async def make(request: Request) -> Response:
    passphrase = taken(request, Sealed).passphrase
    try:
        name, file = await of(request).backups.make(author(request), passphrase)
    except BadBackup as why:
        raise Refused(422, "the backup is not made", f"{why}.") from None
    except NotGranted as why:
        raise _refused(why, "the backup is not made") from None
    return Response(file, media_type=FILE, headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def look(request: Request) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Refused(415, "the body is no form with a file", f"Send it as Content-Type: {FORM}.")
    file, passphrase = await upload(request, "file"), (await form(request)).get("passphrase")
    if file is None or passphrase is None:
        raise Refused(422, "the body has another shape", "It has the fields file and passphrase, and file is a file.")
    try:
        return said(_examined(await of(request).backups.look(file, passphrase)))
    except BadBackup as why:
        faults = [{"key": why.cause.value, "what": str(why)}]
        raise Refused(422, "this backup is not taken, and nothing has changed", f"{why}.", faults=faults) from None


async def restore(request: Request) -> Response:
    return await _restore(request, author(request))


async def _restore(request: Request, by: Author, *, claiming: bool = False) -> Response:
    looked = of(request).backups.looked(request.path_params["id"])
    if looked is None:
        raise Refused(404, "no backup of this id waits", "Look at one first.")
    try:
        await of(request).backups.apply(by, looked, claiming=claiming)
    except NotGranted as why:
        raise _refused(why, "the backup is not restored, and nothing has changed") from None
    return nothing()


async def look_at_claim(request: Request) -> Response:
    await entry.may_claim(of(request))
    return await look(request)


async def restore_at_claim(request: Request) -> Response:
    if of(request).users.claimed():
        raise Refused(409, "this gateway has been claimed", "Sign in.")
    return await _restore(request, ("", entry.address(request)), claiming=True)


def _refused(why: NotGranted, what: str) -> Refused:
    return Refused(503 if isinstance(why, StewardAway) else 409, what, f"{why}.")


ROUTES = (
    Route("/api/v1/backup", make, Role.admin, "POST", name="api_backup",
          described=Described("Make a backup: one file, encrypted", Sealed, bytes, media_type=FILE,
                              refusals=(409, 422))),
    Route("/api/v1/restore", look, Role.admin, "POST", name="api_restore", body_max_bytes=UPLOAD_MOST_BYTES,
          described=Described("Look at a backup: nothing changes yet. What is wrong with the file says `faults`",
                              Brought, Examined, takes_media_type=FORM)),
    Route("/api/v1/restore/{id}", restore, Role.admin, "POST", name="api_restore_apply",
          described=Described("Put the backup in force that was looked at. All sessions end. Other network settings "
                              "are only on trial, as by `PUT /api/v1/network`", status=204,
                              refusals=(409,))),
    Route("/api/v1/claim/restore", look_at_claim, Role.anyone, "POST", name="api_claim_restore", unclaimed=True,
          body_max_bytes=UPLOAD_MOST_BYTES,
          described=Described("As /restore, on a gateway without a password, while it may be claimed", Brought,
                              Examined, takes_media_type=FORM, refusals=(403, 409))),
    Route("/api/v1/claim/restore/{id}", restore_at_claim, Role.anyone, "POST", name="api_claim_restore_apply",
          unclaimed=True,
          described=Described("Put that backup in force: users and passwords are the backup's then", status=204,
                              refusals=(409, 503))),
)  # fmt: skip
