// A charge point made of ocpp-rpc, strict: URL and IDENTITY on the command line; a line on stdin ends its transaction.
const { RPCClient } = require('ocpp-rpc');

const say = (what) => console.log(JSON.stringify(what));
const now = () => new Date().toISOString();
const [endpoint, identity] = process.argv.slice(2);
const client = new RPCClient({ endpoint, identity, protocols: ['ocpp1.6'], strictMode: true, reconnect: false });
client.handle('SetChargingProfile', ({ params }) => {
  say({ profile: params.csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit });
  return { status: 'Accepted' };
});

(async () => {
  await client.connect();
  const booted = await client.call('BootNotification', { chargePointVendor: 'V', chargePointModel: 'M' });
  say({ booted: booted.status });
  await client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Preparing' });
  await client.call('Authorize', { idTag: 'TAG' });
  const start = { connectorId: 1, idTag: 'TAG', meterStart: 1000, timestamp: now() };
  const { transactionId } = await client.call('StartTransaction', start);
  say({ started: transactionId });
  await client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Charging' });
  const meterValue = [{ timestamp: now(), sampledValue: [{ value: '1700' }] }];
  await client.call('MeterValues', { connectorId: 1, transactionId, meterValue });
  say({ metered: true });
  await new Promise((told) => process.stdin.once('data', told));
  await client.call('StopTransaction', { transactionId, meterStop: 2500, timestamp: now() });
  say({ stopped: true });
  process.exit(0);
})().catch((error) => {
  say({ error: String(error) });
  process.exit(1);
});
