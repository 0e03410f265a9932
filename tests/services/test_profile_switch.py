"""A charge point goes from security profile 1 to 2 to 3 and back to nothing, all by what the BMS writes (ocpp.md,
Security): a simulated charge point that really dials so, against the whole gateway on real sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import trio

from gatewayd.site.refusal import Cause
from tests.services.secure_daemon import PORTS, TLS, Daemon, daemon
from tests.services.secure_plant import HOST
from tests.simulator.bms import Bms, ModbusClient
from tests.simulator.charge_point import ChargePoint, Traits
from tests.simulator.charge_point.security import Dialler

ENTRY = '[[charge_point]]\nnumber = 1\nidentity = "CP001"\npassword = "secret"\n'
QUICK = Traits(reboot_s=0.1, reconnect_s=0.1, reconnect_max_s=0.2, answer_latency_s=0.0, boots_on_reconnect=True)
"""A link that the reload dropped comes back with a BootNotification: without one it counts as registered only 5 s after
its first message, and that may be its next heartbeat."""


def slot(it: Daemon) -> str:
    """The gateway's own authority, for the BMS to have installed."""
    path = it.paths.state / "authority.pem"
    return f'[[slot]]\nnumber = 1\ncertificate = "{path}"\ncertificate_type = "CentralSystemRootCertificate"\n'


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(15):
        while not true():  # noqa: ASYNC110  a fact of either end, that nobody announces
            await trio.sleep(0.01)


async def test_from_password_to_certificate_and_never_back(tmp_path: Path, nursery: trio.Nursery) -> None:
    async with daemon(tmp_path, PORTS + TLS + ENTRY) as it:
        await it.reload(PORTS + TLS + ENTRY + slot(it))  # the authority is there since the first start
        site = it.gateway.site
        stream = await trio.open_tcp_stream(HOST, it.ports["modbus_tcp"])
        bms = Bms(ModbusClient(stream, timeout_s=5.0))
        dialler = Dialler(HOST, it.ports["ocpp"], it.ports["ocpp_tls"])
        charge_point = dialler.charge_point = ChargePoint(
            "CP001", dialler, password="secret", traits=QUICK, configuration={"SecurityProfile": "1"}
        )
        await nursery.start(charge_point.run)

        def registered(profile: int) -> bool:
            cp = site.charge_points["CP001"]
            return cp.registered and cp.security_profile == profile and charge_point.session.registered

        async def switch(profile: int) -> None:
            changed = await bms.command(1, "ChangeConfiguration", key="SecurityProfile", value=str(profile))
            assert (changed.state, changed.result) == ("done", "RebootRequired")
            assert (await bms.command(1, "ResetHard")).result == "Accepted"
            await until(lambda: registered(profile))

        await until(lambda: registered(1))
        # Profile 2 needs the gateway's authority in the charge point.
        assert (await bms.command(1, "InstallCertificate", p1=1)).result == "Accepted"
        assert (await bms.command(1, "GetInstalledCertificateIds", p1=1)).r1 == 1
        await switch(2)

        # Profile 3 needs a certificate: asked to, the charge point asks for one, and it comes by itself.
        asked = await bms.command(1, "ExtendedTriggerMessage", p1=8)
        assert asked.result == "Accepted"
        await until(lambda: charge_point.certificate_chain is not None)
        await switch(3)
        assert site.charge_points["CP001"].authenticated

        # Back over OCPP: never.
        back = await bms.command(1, "ChangeConfiguration", key="SecurityProfile", value="2")
        assert (back.state, back.error) == ("failed", "bad_parameter")
        assert charge_point.configuration["SecurityProfile"] == "3"

        # The installer may require it from now on; who then comes with less is told.
        await it.reload(PORTS + TLS + ENTRY + "min_security_profile = 3\n" + slot(it))
        await until(lambda: registered(3))
        charge_point.configuration["SecurityProfile"] = "2"
        charge_point.restart("HardReset")
        await until(lambda: Cause.profile_too_low in site.refusals.counts)
        await until(lambda: 403 in charge_point.session.refusals)

        # Without the gateway's authority it does not even come that far, and says why.
        assert charge_point.certificates.delete(charge_point.certificates.roots[0][1].hash_data()) == "Accepted"
        await until(
            lambda: site.refusals.counts[Cause.authority_unknown] + site.refusals.counts[Cause.tls_broken_off] > 0
        )

        assert dialler.dials[:3] == [1, 2, 3]
        assert charge_point.session.violations == []
        nursery.cancel_scope.cancel()
