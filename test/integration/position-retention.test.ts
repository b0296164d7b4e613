import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import { startNatsProxy } from '../support/nats-proxy.ts'
import type { Service } from '../support/service.ts'
import type { SseClient } from '../support/sse-client.ts'

/** G4: where retention was faster than a reader, the stream says so before it goes on. */
let lab: Lab
let gateway: Service
let writer: LogWriter
const small = { RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0, REPLAY_PAGE_BYTES: 65_536 }

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway(small)
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

/** Holes in what a client of everything got, that no `$gap` announced. */
function silentHoles(client: SseClient): string[] {
  const gaps = new Set(client.controls.filter(({ type }) => type === '$gap').map(({ after }) => after))
  return client.events.flatMap(({ sequence }, index) => {
    const previous = client.events[index - 1]?.sequence
    return previous === undefined || sequence === previous + 1 || gaps.has(index)
      ? []
      : [`${previous} ${sequence}`]
  })
}

test('a log that is purged in the middle of a replay', async () => {
  const published = await writer.numbered(6_000, 'purge', 2_000)
  const client = await lab.client(gateway, { topics: ['>'], query: { since: 'all' } })
  client.pause()
  await writer.manager.streams.purge('EVENTS', { seq: published[5_900]?.sequence as number })
  client.unpause()
  await client.untilLive()
  expect(client.control('$gap')?.data).toMatchObject({ reason: 'expired' })
  expect(silentHoles(client)).toEqual([])
  expect(client.sequences.slice(-100)).toEqual(published.slice(-100).map(({ sequence }) => sequence))
})

test('a log that keeps less than its readers need, while they read it', async () => {
  const { config } = await writer.manager.streams.info('EVENTS')
  await writer.manager.streams.update('EVENTS', { ...config, max_msgs: 400 })
  const proxy = await startNatsProxy(lab.nats.port)
  const lagging = await lab.gateway({ ...small, NATS_URL: proxy.url })
  const clients = [await lab.liveClient(gateway, ['>']), await lab.liveClient(lagging, ['>'])]
  for (let round = 0; round < 12; round++) {
    if (round % 3 === 0) proxy.cut()
    const publishing = writer.numbered(1_000, ['fast.a', 'fast.b'], 300)
    clients.push(await lab.client(gateway, { topics: ['>'], query: { since: 'all' } }))
    clients.push(
      await lab.client(gateway, { topics: ['>'], lastEventId: clients[0]?.events.at(-1)?.id ?? '' }),
    )
    await publishing
    proxy.mend()
  }
  const last = await writer.publish('fast.end', { n: 0 })
  for (const client of clients) {
    await client.untilEvent(({ sequence }) => sequence === last)
    expect(silentHoles(client)).toEqual([])
  }
  await lagging.kill()
  await proxy.stop()
})
