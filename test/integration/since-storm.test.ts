import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

test('200 clients at once with a time beyond the recent log cost a handful of consumers', async () => {
  // The least ring: most of the log is beyond it.
  const gateway = await lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0 })
  const writer = await lab.writer()
  const published = await writer.numbered(2_000, 'storm', 200)
  let created = 0
  writer.nats.subscribe('$JS.EVENT.ADVISORY.CONSUMER.CREATED.EVENTS.*', {
    callback: () => {
      created++
    },
  })
  await writer.nats.flush()
  const clients = await Promise.all(
    Array.from({ length: 200 }, () => lab.client(gateway, { topics: ['storm'], query: { since: '1h' } })),
  )
  await Promise.all(clients.map((client) => client.untilCount(published.length, 30_000)))
  for (const client of clients) expect(client.numbers).toEqual(published.map(({ n }) => n))
  await writer.nats.flush()
  expect(created).toBeGreaterThan(0)
  expect(created).toBeLessThan(50)
})
