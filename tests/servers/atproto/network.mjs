// The AT Protocol development environment, started by tests/servers/atproto_network.py.
//
// In: the settings of the ports in the environment, commands as JSON lines on standard input.
// Out: one JSON line when it is ready, then one for each command. It does only what the servers'
// own HTTP interfaces have no call for: to wait until the AppView has read everything that the PDS
// sent, and to enter a label as the AppView's label ingester (which is not started here) would.
import { createInterface } from 'node:readline'
import { TestNetwork } from '@atproto/dev-env'

const port = (name) => ({ port: Number(process.env[name]) })
const network = await TestNetwork.create({
  dbPostgresSchema: 'obs',
  plc: port('PLC_PORT'),
  pds: port('PDS_PORT'),
  bsky: port('BSKY_PORT'),
  ozone: port('OZONE_PORT'),
})
const labeler = network.bsky.ctx.cfg.modServiceDid

const commands = {
  settle: () => network.processAll(20_000),
  label: async ({ uri, cid, val, neg, src }) => {
    const row = { src: src ?? labeler, uri, cid: cid ?? '', val, cts: new Date().toISOString() }
    const label = { ...row, neg: neg ?? false, exp: null }
    await network.bsky.db.db
      .insertInto('label')
      .values(label)
      .onConflict((oc) => oc.columns(['src', 'uri', 'cid', 'val']).doUpdateSet(label))
      .execute()
  },
  tombstone: async ({ did }) => {
    const { plcClient, plcRotationKey } = network.pds.ctx
    await plcClient.tombstone(did, plcRotationKey)
  },
  mailed: async ({ did }) => {
    const { db } = network.pds.ctx.accountManager.db
    const mailed = db.selectFrom('email_token').where('did', '=', did)
    return (await mailed.where('purpose', '=', 'delete_account').select('token').executeTakeFirst())
      .token
  },
}

const say = (line) => process.stdout.write(`@@ ${JSON.stringify(line)}\n`)
say({ ready: true, labeler, plc: network.plc.url, pds: network.pds.url, bsky: network.bsky.url })
for await (const line of createInterface({ input: process.stdin })) {
  try {
    const { command, ...given } = JSON.parse(line)
    say({ done: true, result: await commands[command](given) })
  } catch (error) {
    say({ done: false, error: String(error) })
  }
}
process.exit(0)
