// A charge point made of ocpp-ts: URL and IDENTITY on the command line; a line on stdin ends its transaction.
const { OcppClient } = require('ocpp-ts');

const say = (what) => console.log(JSON.stringify(what));
const now = () => new Date().toISOString();
const [url, identity] = process.argv.slice(2);
const client = new OcppClient(identity);
client.on('error', (error) => say({ error: error.message }));
client.on('SetChargingProfile', (request, answer) => {
  say({ profile: request.csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit });
  answer({ status: 'Accepted' });
});
client.on('connect', async () => {
  const booted = await client.callRequest('BootNotification', { chargePointVendor: 'V', chargePointModel: 'M' });
  say({ booted: booted.status });
  await client.callRequest('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Preparing' });
  await client.callRequest('Authorize', { idTag: 'TAG' });
  const start = { connectorId: 1, idTag: 'TAG', meterStart: 1000, timestamp: now() };
  const { transactionId } = await client.callRequest('StartTransaction', start);
  say({ started: transactionId });
  await client.callRequest('StatusNotification', { connectorId: 1, errorCode: 'NoError', status: 'Charging' });
  const meterValue = [{ timestamp: now(), sampledValue: [{ value: '1700' }] }];
  await client.callRequest('MeterValues', { connectorId: 1, transactionId, meterValue });
  say({ metered: true });
  await new Promise((told) => process.stdin.once('data', told));
  await client.callRequest('StopTransaction', { transactionId, meterStop: 2500, timestamp: now() });
  say({ stopped: true });
  process.exit(0);
});
client.connect(`${url}/`);
