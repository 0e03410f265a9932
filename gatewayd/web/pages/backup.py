"""Backup and restore: one file, and what would be different with it before it takes effect; also at the first visit."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatewayd.backup.container import FILE_MOST_BYTES, PASSPHRASE_SHORTEST, BadBackup
from gatewayd.config_tables import Network
from gatewayd.web import entry, network_trial
from gatewayd.web.backups import Looked
from gatewayd.web.editor import Author
from gatewayd.web.guard import form, signed_out, upload
from gatewayd.web.pages import change, moment
from gatewayd.web.pages.frame import card_outcome, of
from gatewayd.web.pages.language import _, ngettext
from gatewayd.web.refusals import Refused
from gatewayd.web.routes import BODY_MAX_BYTES, Role, Route
from gatewayd.web.steward import NotGranted

UPLOAD_MOST_BYTES = FILE_MOST_BYTES + BODY_MAX_BYTES
"""The file, and the form around it."""


async def backup(request: Request) -> Response:
    """The page."""
    return _page(request)


def _page(request: Request, *, make: str = "", restore: str = "", status: int = 200) -> Response:
    response: Response = of(request).rendering.page(
        request,
        "backup.html",
        status,
        why_not_made=make,
        why_not_taken=restore,
        shortest=PASSPHRASE_SHORTEST,
        card=card_outcome(request),
    )
    return response


async def make_backup(request: Request) -> Response:
    """The file, as a download."""
    fields = await form(request)
    if fields.get("passphrase", "") != fields.get("again", ""):
        return _page(request, make=_("The two passphrases differ."), status=422)
    try:
        name, file = await of(request).backups.make(change.author(request), fields.get("passphrase", ""))
    except (BadBackup, NotGranted) as why:
        return _page(request, make=change.sentence(str(why)), status=422)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file, media_type="application/octet-stream", headers=headers)


async def look_at_backup(request: Request) -> Response:
    """What a backup would change."""
    try:
        looked = await _look(request)
    except BadBackup as why:
        return _page(request, restore=change.sentence(str(why)), status=422)
    return _differences(request, looked, "/backup/restore/apply", "/backup", claiming=False)


async def _look(request: Request) -> Looked:
    file = await upload(request, "file")
    return await of(request).backups.look(file or b"", (await form(request)).get("passphrase", ""))


def _differences(request: Request, looked: Looked, action: str, back: str, *, claiming: bool) -> Response:
    now, then = of(request).gateway.config().network, looked.backup.config.network
    response: Response = of(request).rendering.page(
        request, "restore.html", facts=_facts(looked), looked=looked, action=action, back=back, claiming=claiming,
        new_network=network_trial.differ(now, then), address=_address(then),
    )  # fmt: skip
    return response


def _address(network: Network) -> str:
    """By which the page is found with these settings; empty: a DHCP server gives it."""
    return network.address.partition("/")[0] if network.mode == "static" else ""


def _facts(looked: Looked) -> list[tuple[str, str]]:
    header, ledger = looked.backup.header, looked.backup.ledger
    return [
        (_("Of the gateway"), header.name),
        (_("Made"), moment.clock(header.made, looked.backup.config.gateway.time_zone)),
        (_("Firmware"), header.firmware),
        (_("Charge points"), str(len(looked.backup.config.charge_points))),
        (_("Users"), str(len(looked.backup.kept.users))),
        (_("Transactions"), str(ledger.transactions) if not ledger.running else ngettext(
            "%(all)s, %(num)s of them was running", "%(all)s, %(num)s of them were running",
            ledger.running, all=ledger.transactions)),
        (_("Highest transaction id"), str(ledger.highest_id)),
        (_("Authority (SHA-256)"), looked.backup.authority or "—"),
    ]  # fmt: skip


async def restore_backup(request: Request) -> Response:
    """The yes to it."""
    return await _apply(request, change.author(request))


async def _apply(request: Request, author: Author, *, claiming: bool = False) -> Response:
    backups = of(request).backups
    looked = backups.looked((await form(request)).get("id", ""))
    if looked is None:
        raise Refused(409, "no backup waits to be restored", "Choose the file once more, and look at the differences.")
    before, then = of(request).gateway.config().network, looked.backup.config.network
    try:
        await backups.apply(author, looked, claiming=claiming)
    except NotGranted as why:
        raise Refused(409, "the backup is not restored, and nothing has changed", change.sentence(str(why))) from None
    request.state.session, request.state.role = None, Role.anyone
    return signed_out(of(request).rendering.page(
        request, "restored.html", name=looked.backup.header.name, trial=network_trial.trial(of(request)),
        new_network=network_trial.differ(before, then), claiming=claiming, address=_address(then),
    ), request)  # fmt: skip


async def claim_by_backup(request: Request) -> Response:
    """The first visit, where there is a backup: the form."""
    await entry.may_claim(of(request))
    return _claim(request)


def _claim(request: Request, why: str = "", status: int = 200) -> Response:
    response: Response = of(request).rendering.page(request, "claim_restore.html", status, why=why)
    return response


async def look_at_claim(request: Request) -> Response:
    """The form, sent."""
    await entry.may_claim(of(request))
    try:
        looked = await _look(request)
    except BadBackup as why:
        return _claim(request, change.sentence(str(why)), 422)
    return _differences(request, looked, "/claim/restore/apply", "/claim", claiming=True)


async def restore_at_claim(request: Request) -> Response:
    """The yes to it, from whoever was let in to bring the file."""
    if of(request).users.claimed():
        raise Refused(409, "this gateway has been claimed", "Sign in.", leads_to="/login")
    return await _apply(request, ("", entry.address(request)), claiming=True)


ROUTES = (
    Route("/backup", backup, Role.admin),
    Route("/backup/make", make_backup, Role.admin, "POST"),
    Route("/backup/restore", look_at_backup, Role.admin, "POST", body_max_bytes=UPLOAD_MOST_BYTES),
    Route("/backup/restore/apply", restore_backup, Role.admin, "POST"),
    Route("/claim/restore", claim_by_backup, Role.anyone, unclaimed=True),
    Route("/claim/restore", look_at_claim, Role.anyone, "POST", unclaimed=True, body_max_bytes=UPLOAD_MOST_BYTES),
    Route("/claim/restore/apply", restore_at_claim, Role.anyone, "POST", unclaimed=True),
)
