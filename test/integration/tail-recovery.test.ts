import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter, Published } from '../support/log-writer.ts'
import { startNatsProxy } from '../support/nats-proxy.ts'
import type { Service } from '../support/service.ts'
import type { SseClient } from '../support/sse-client.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let gateways: Service[]
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  // One with a recent log of one page, so that it also recovers by replay.
  gateways = await Promise.all([lab.gateway(), lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0 })])
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const clientsOf = (topics: string[]) =>
  Promise.all([...gateways, ...gateways].map((gateway) => lab.liveClient(gateway, topics)))
const bySequence = (list: Published[]) => list.map(({ sequence }) => sequence).sort((a, b) => a - b)
async function gotExactly(clients: SseClient[], published: Published[]): Promise<void> {
  for (const client of clients) {
    await client.untilCount(published.length)
    expect(client.sequences).toEqual(bySequence(published))
    expect(client.control('$gap')).toBeUndefined()
  }
}
const opened = (gateway: Service) => gateway.metric('sse_tail_opened_total')
async function untilReopened(before: number[]): Promise<void> {
  for (const [index, gateway] of gateways.entries())
    await waitUntil(async () => (await opened(gateway)) > (before[index] as number), {
      what: 'the tail to be opened again',
    })
}
async function deleteConsumers(): Promise<void> {
  for (const name of await lab.consumers()) await writer.manager.consumers.delete('EVENTS', name)
}

test('one consumer per gateway, however many connections are open', async () => {
  await Promise.all(
    Array.from({ length: 200 }, (_, n) => lab.liveClient(gateways[n % 2] as Service, [`many.${n}`])),
  )
  await waitUntil(async () => (await lab.consumers()).length === 2, {
    what: 'two consumers',
    timeoutMs: 10_000,
  })
})

test('consumers deleted on the server are replaced: nothing is lost or repeated', async () => {
  const clients = await clientsOf(['deleted'])
  const publishing = writer.keepPublishing('deleted', 1)
  for (let round = 0; round < 3; round++) {
    const before = await Promise.all(gateways.map(opened))
    await deleteConsumers()
    await untilReopened(before)
  }
  await gotExactly(clients, await publishing.stop())
})

test('a consumer lost before its first message does not replay the log', async () => {
  // Nothing is published between the opening of these consumers and their end.
  const before = await Promise.all(gateways.map(opened))
  await deleteConsumers()
  await untilReopened(before)
  const again = await Promise.all(gateways.map(opened))
  const clients = await clientsOf(['>'])
  await deleteConsumers()
  const published = await writer.numbered(5, 'before-first')
  await untilReopened(again)
  published.push(...(await writer.numbered(5, 'before-first')))
  await gotExactly(clients, published)
})

test('nats-server killed with -9 under publishing: contiguous, no duplicate, back within 3 s', async () => {
  const clients = await clientsOf(['killed.>'])
  const publishing = writer.keepPublishing(['killed.a', 'killed.b'], 1)
  await clients[0]?.untilCount(50)
  for (let round = 0; round < 2; round++) {
    await lab.nats.kill()
    await lab.nats.restart()
    const back = performance.now()
    await writer.untilBack()
    const marker = await writer.publish('marker', { n: 0 })
    for (const gateway of gateways)
      await waitUntil(async () => (await gateway.metric('sse_tail_position')) >= marker, {
        what: 'the pod to follow',
      })
    expect(performance.now() - back).toBeLessThan(3_000)
  }
  await gotExactly(clients, await publishing.stop())
})

// The length of the outage is what is promised.
const awayMs = 30_000
test('NATS away for 30 s: streams stay open, pods say not ready, and all is back within 3 s', async () => {
  const clients = await clientsOf(['away'])
  const published = await writer.numbered(10, 'away')
  await gotExactly(clients, published)
  await lab.nats.kill()
  const gone = performance.now()
  const [gateway] = gateways as [Service]
  // What needs only the recent log is still served.
  const resumed = await lab.client(gateway, {
    topics: ['away'],
    lastEventId: clients[0]?.events[4]?.id as string,
  })
  await resumed.untilCount(5)
  await waitUntil(async () => !(await gateway.isReady()), { what: 'the pod to say that it is not ready' })
  expect((await fetch(`${gateway.operationsUrl}/livez`)).status).toBe(200)
  await waitUntil(() => performance.now() - gone > awayMs, {
    what: 'time to pass',
    timeoutMs: awayMs + 5_000,
  })
  for (const client of clients) expect(client.open).toBe(true)
  await lab.nats.restart()
  const back = performance.now()
  await writer.untilBack()
  published.push(...(await writer.numbered(10, 'away')))
  await gotExactly(clients, published)
  expect(performance.now() - back).toBeLessThan(3_000)
  await waitUntil(() => gateway.isReady(), { what: 'the pod to be ready again' })
})

test('a link that breaks in the middle of a burst loses nothing', async () => {
  const proxy = await startNatsProxy(lab.nats.port)
  const gateway = await lab.gateway({ NATS_URL: proxy.url })
  const clients = await Promise.all([1, 2, 3].map(() => lab.liveClient(gateway, ['burst'])))
  const publishing = writer.keepPublishing('burst', 0)
  for (let round = 1; round <= 4; round++) {
    await clients[0]?.untilCount(round * 30)
    proxy.cut()
    proxy.mend()
  }
  await gotExactly(clients, await publishing.stop())
  await gateway.kill()
  await proxy.stop()
})
