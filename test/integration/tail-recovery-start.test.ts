import { expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import { LogWriter } from '../support/log-writer.ts'
import { startNatsServer } from '../support/nats-server.ts'
import { freePort } from '../support/ports.ts'
import { type Service, startService } from '../support/service.ts'
import { SseClient } from '../support/sse-client.ts'
import { waitUntil } from '../support/wait.ts'

test('a gateway that starts before NATS lives, sends clients away for a moment, and serves when NATS is there', async () => {
  const port = await freePort()
  const gateway = await startService('gateway', { NATS_URL: `nats://127.0.0.1:${port}` }, { ready: false })
  await waitUntil(async () => (await fetch(`${gateway.operationsUrl}/livez`)).ok, { what: '/livez' })
  expect((await fetch(`${gateway.operationsUrl}/readyz`)).status).toBe(503)
  const early = await waitUntil(() => SseClient.connect(gateway.url, { topics: ['a'] }), {
    what: 'an answer',
  })
  await early.untilClosed()
  expect(early.status).toBe(200)
  expect(early.body).toMatch(/^retry: \d+\n\n$/)
  const nats = await startNatsServer({ port })
  await waitUntil(() => gateway.isReady(), { what: 'the gateway to be ready' })
  await early.connect(gateway.url)
  await early.untilFirstBlock()
  const writer = await LogWriter.connect(nats.url)
  await writer.numbered(3, 'a')
  await early.untilCount(3)
  expect(early.faults).toEqual([])
  early.close()
  await writer.close()
  await gateway.kill()
  await nats.stop()
})

test('a stream created by hand gets an epoch, the same for gateways that start at once', async () => {
  const lab = await Lab.start()
  const writer = await lab.writer()
  await writer.manager.streams.add({ name: 'EVENTS', subjects: ['events.>'] })
  const published = await writer.numbered(3, 'a')
  const gateways = await Promise.all([lab.gateway(), lab.gateway(), lab.gateway()])
  const epoch = (await writer.manager.streams.info('EVENTS')).config.metadata?.['sse-epoch']
  expect(epoch).toMatch(/^[a-z0-9]{12}$/)
  const clients = await Promise.all(
    gateways.map((gateway: Service) => lab.client(gateway, { topics: ['a'], query: { since: 'all' } })),
  )
  for (const client of clients) {
    await client.untilLive()
    expect(client.events.map(({ id }) => id)).toEqual(published.map(({ sequence }) => `${epoch}-${sequence}`))
  }
  expect(lab.endClients()).toEqual([])
  await lab.stop()
})
