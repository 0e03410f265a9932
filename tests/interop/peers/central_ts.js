// A central system made of ocpp-ts: PORT on the command line, one JSON line an event.
const { OcppServer } = require('ocpp-ts');

const say = (what) => console.log(JSON.stringify(what));
const profile = {
  chargingProfileId: 1, stackLevel: 1, chargingProfilePurpose: 'TxDefaultProfile', chargingProfileKind: 'Absolute',
  chargingSchedule: { chargingRateUnit: 'A', chargingSchedulePeriod: [{ startPeriod: 0, limit: 10 }] },
};
let number = 3000;

const server = new OcppServer();
server.on('connection', (client) => {
  const at = client.getCpId();
  const now = () => new Date().toISOString();
  client.on('error', (error) => say({ at, error: error.message }));
  client.on('BootNotification', (request, answer) => {
    say({ at, got: 'BootNotification' });
    answer({ status: 'Accepted', currentTime: now(), interval: 300 });
  });
  client.on('Heartbeat', (request, answer) => answer({ currentTime: now() }));
  client.on('StatusNotification', (request, answer) => answer({}));
  client.on('Authorize', (request, answer) => answer({ idTagInfo: { status: 'Accepted' } }));
  client.on('MeterValues', (request, answer) => {
    say({ at, got: 'MeterValues' });
    answer({});
  });
  client.on('StartTransaction', (request, answer) => {
    const transaction = (number += 1);
    say({ at, got: 'StartTransaction', transaction });
    answer({ transactionId: transaction, idTagInfo: { status: 'Accepted' } });
    client.callRequest('SetChargingProfile', { connectorId: 1, csChargingProfiles: profile })
      .then((result) => say({ at, limit: result.status }), (error) => say({ at, error: error.message }));
  });
  client.on('StopTransaction', (request, answer) => {
    say({ at, got: 'StopTransaction', transaction: request.transactionId, meter: request.meterStop });
    answer({});
  });
});
server.listen(Number(process.argv[2]));
say({ ready: 'ocpp-ts' });
