import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import type { SseClient } from '../support/sse-client.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let other: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  other = await lab.gateway()
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

function follow(clients: SseClient[], where: () => Service): () => void {
  const stops = clients.map((client) => client.follow(() => where().url))
  return () => {
    for (const stop of stops) stop()
  }
}

describe('on SIGTERM', () => {
  test('under load streams end spread over the window, each with $closing, and nobody loses or repeats anything', async () => {
    const gateway = await lab.gateway({ DRAIN_WINDOW_MS: 1_500, RETRY_MIN_MS: 100, RETRY_MAX_MS: 200 })
    const clients = await Promise.all(Array.from({ length: 60 }, () => lab.liveClient(gateway, ['drain.>'])))
    const publishing = writer.keepPublishing(['drain.a', 'drain.b'], 1)
    await clients[0]?.untilCount(50)
    const openBefore = await gateway.metric('sse_connections{state="live"}')
    expect(openBefore).toBe(60)
    const exit = gateway.term()
    await waitUntil(async () => !(await gateway.isReady()), { what: 'readiness to drop' })
    expect((await fetch(`${gateway.operationsUrl}/livez`)).status).toBe(200)
    expect(await (await fetch(`${gateway.operationsUrl}/readyz`)).text()).toContain('draining')
    expect(await gateway.metric('sse_draining')).toBe(1)
    // As when a terminal and a supervisor both end it: the second signal does not cut the drain short.
    process.kill(gateway.pid, 'SIGINT')

    // A newcomer: an EventSource is told to come back, a proxy that can try elsewhere is told so.
    const asEventSource = await fetch(`${gateway.url}/v1/events?topic=a`, {
      headers: { accept: 'text/event-stream' },
    })
    expect(asEventSource.status).toBe(200)
    expect(await asEventSource.text()).toMatch(/^retry: \d+\n\n$/)
    const asProxy = await fetch(`${gateway.url}/v1/events?topic=a`, {
      headers: { accept: 'text/event-stream', 'x-retry-elsewhere': 'yes' },
    })
    expect(asProxy.status).toBe(503)
    expect(asProxy.headers.get('retry-after')).toBe('1')

    const closedAt: number[] = []
    const watch = setInterval(() => closedAt.push(clients.filter((client) => !client.open).length), 50)
    expect(await exit).toBe(0)
    clearInterval(watch)
    for (const client of clients) {
      await client.untilClosed()
      const closing = client.controls.at(-1)
      expect(closing).toMatchObject({ type: '$closing', data: { reason: 'draining' } })
      expect(client.retryMs).toBeGreaterThanOrEqual(100)
    }
    // Spread: on the way there were at least four different counts between none and all.
    expect(new Set(closedAt.filter((count) => count > 0 && count < 60)).size).toBeGreaterThan(3)
    await Promise.all(clients.map((client) => client.connect(other.url)))
    const published = await publishing.stop()
    for (const client of clients) {
      await client.untilCount(published.length)
      expect(client.sequences).toEqual(published.map(({ sequence }) => sequence))
    }
  })

  test('streams that are behind get their events first', async () => {
    const gateway = await lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0, DRAIN_WINDOW_MS: 500 })
    const backlog = await writer.numbered(3_000, 'behind', 2_000)
    const behind = await lab.client(gateway, { topics: ['behind'], query: { since: 'all' } })
    behind.pause()
    await waitUntil(async () => (await gateway.metric('sse_connections{state="live"}')) === 0, {
      what: 'it to be behind',
    })
    const exit = gateway.term()
    await waitUntil(async () => !(await gateway.isReady()), { what: 'readiness to drop' })
    behind.unpause()
    const closing = await behind.untilControl('$closing')
    expect(closing.after).toBe(backlog.length)
    expect(behind.numbers).toEqual(backlog.map(({ n }) => n))
    expect(await exit).toBe(0)
  })

  test('neither a stream that never reads nor half a request keeps the pod from ending', async () => {
    const gateway = await lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0, DRAIN_WINDOW_MS: 0 })
    const stuck = await lab.client(gateway, { topics: ['behind'], query: { since: 'all' } })
    stuck.pause()
    await waitUntil(async () => (await gateway.metric('sse_unsent_bytes')) > 0, { what: 'it to push back' })
    const halfRequest = connect(gateway.port, '127.0.0.1', () =>
      halfRequest.write('GET /v1/events HTTP/1.1\r\nHost:'),
    )
    halfRequest.on('error', () => undefined)
    await once(halfRequest, 'connect')
    expect(await gateway.term()).toBe(0)
  })
})

test('at its maximum age a stream ends with $closing max-age, and goes on elsewhere without gap or duplicate', async () => {
  const gateway = await lab.gateway({ MAX_AGE_MS: 1_000 })
  const clients = await Promise.all(Array.from({ length: 10 }, () => lab.liveClient(gateway, ['age'])))
  const publishing = writer.keepPublishing('age', 2)
  const stop = follow(clients, () => (Math.random() < 0.5 ? gateway : other))
  await Promise.all(clients.map((client) => client.untilControl('$closing', 1)))
  await waitUntil(() => clients.every((client) => client.connects > 1), { what: 'all to have come back' })
  const published = await publishing.stop()
  for (const client of clients) {
    await client.untilCount(published.length)
    expect(client.sequences).toEqual(published.map(({ sequence }) => sequence))
    expect(client.control('$closing')?.data).toEqual({ reason: 'max-age' })
  }
  stop()
  await gateway.kill()
})

test('SIGKILL of a pod under load: of 200 clients over two pods none loses, repeats or misorders an event', async () => {
  const pods = await Promise.all([lab.gateway(), lab.gateway()])
  const clients = await Promise.all(
    Array.from({ length: 200 }, (_, n) => lab.liveClient(pods[n % 2] as Service, ['ledger.>'])),
  )
  const publishing = writer.keepPublishing(['ledger.a', 'ledger.b', 'ledger.c'], 4)
  await clients[0]?.untilCount(50)
  let [doomed, survivor] = pods as [Service, Service]
  const stop = follow(clients, () => survivor)
  for (const round of [1, 2]) {
    await doomed.kill()
    await waitUntil(() => clients.every((client) => client.open), { what: `all to be back (${round})` })
    const again = await lab.gateway({ PORT: doomed.port, METRICS_PORT: doomed.metricsPort })
    ;[doomed, survivor] = [survivor, again]
  }
  const published = await publishing.stop()
  for (const client of clients) {
    await client.untilCount(published.length)
    expect(client.sequences).toEqual(published.map(({ sequence }) => sequence))
    expect(client.control('$gap')).toBeUndefined()
  }
  stop()
})
