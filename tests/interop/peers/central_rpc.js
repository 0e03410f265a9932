// A central system made of ocpp-rpc, strict: PORT on the command line, one JSON line an event.
const { RPCServer } = require('ocpp-rpc');

const say = (what) => console.log(JSON.stringify(what));
const profile = {
  chargingProfileId: 1, stackLevel: 1, chargingProfilePurpose: 'TxDefaultProfile', chargingProfileKind: 'Absolute',
  chargingSchedule: { chargingRateUnit: 'A', chargingSchedulePeriod: [{ startPeriod: 0, limit: 10.0 }] },
};
let number = 2000;

const server = new RPCServer({ protocols: ['ocpp1.6'], strictMode: true });
server.auth((accept) => accept({}));
server.on('client', (client) => {
  const at = client.identity;
  const now = () => new Date().toISOString();
  client.on('strictValidationFailure', (failure) => say({ at, failure: String(failure.error) }));
  client.handle('BootNotification', () => {
    say({ at, got: 'BootNotification' });
    return { status: 'Accepted', interval: 300, currentTime: now() };
  });
  client.handle('Heartbeat', () => ({ currentTime: now() }));
  client.handle('StatusNotification', () => ({}));
  client.handle('Authorize', () => ({ idTagInfo: { status: 'Accepted' } }));
  client.handle('MeterValues', () => {
    say({ at, got: 'MeterValues' });
    return {};
  });
  client.handle('StartTransaction', () => {
    const transaction = (number += 1);
    say({ at, got: 'StartTransaction', transaction });
    setImmediate(async () => {
      const answer = await client.call('SetChargingProfile', { connectorId: 1, csChargingProfiles: profile });
      say({ at, limit: answer.status });
    });
    return { transactionId: transaction, idTagInfo: { status: 'Accepted' } };
  });
  client.handle('StopTransaction', ({ params }) => {
    say({ at, got: 'StopTransaction', transaction: params.transactionId, meter: params.meterStop });
    return {};
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1').then(() => say({ ready: 'ocpp-rpc' }));
