import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

/** G7: whatever passes must not end a native EventSource, which gives up on any answer but 200. */
let lab: Lab
let gateway: Service
let waiting: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  const away = { NATS_URL: 'nats://127.0.0.1:1', RETRY_MIN_MS: 1_000, RETRY_MAX_MS: 3_000 }
  ;[gateway, waiting] = await Promise.all([
    lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0 }),
    lab.gateway(away, { ready: false }),
  ])
  await waitUntil(async () => (await fetch(`${waiting.operationsUrl}/livez`)).ok, { what: '/livez' })
  await waitUntil(() => fetch(waiting.url), { what: 'the port of streams' })
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const ask = (pod: Service, headers: Record<string, string>, query = 'topic=a') =>
  fetch(`${pod.url}/v1/events?${query}`, { headers })
const asEventSource = { accept: 'text/event-stream' }

describe('while a pod can’t serve', () => {
  test('an EventSource gets 200, a time to come back, and the end of the stream', async () => {
    const retries = new Set<string>()
    for (let n = 0; n < 10; n++) {
      const answer = await ask(waiting, asEventSource)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toContain('text/event-stream')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('x-accel-buffering')).toBe('no')
      const body = await answer.text()
      const retryMs = Number(/^retry: (\d+)\n\n$/.exec(body)?.[1])
      expect(retryMs).toBeGreaterThanOrEqual(1_000)
      expect(retryMs).toBeLessThanOrEqual(3_000)
      retries.add(body)
    }
    // Drawn anew each time, so that clients do not come back together.
    expect(retries.size).toBeGreaterThan(5)
  })

  test.each([{}, { accept: '*/*' }, { accept: 'text/event-stream', 'x-retry-elsewhere': 'yes' }])(
    'who asks with %j gets 503 with Retry-After',
    async (headers) => {
      const answer = await ask(waiting, headers as Record<string, string>)
      expect(answer.status).toBe(503)
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(answer.headers.get('content-type')).toContain('application/problem+json')
      expect(await answer.json()).toMatchObject({ type: 'urn:sse-cluster:problem:unavailable', status: 503 })
    },
  )

  test('a mistake is still told as one: it would not pass', async () => {
    expect((await ask(waiting, asEventSource, 'topic=..')).status).toBe(400)
    expect((await ask(waiting, { accept: 'application/json' })).status).toBe(406)
  })
})

test('a position that only the stream can judge is a passing condition while NATS is away, and served later', async () => {
  const published = await writer.numbered(2_000, 'a', 100)
  const head = published.at(-1)?.sequence as number
  await waitUntil(async () => (await gateway.metric('sse_tail_position')) >= head, {
    what: 'the pod to catch up',
  })
  const { metadata } = (await writer.manager.streams.info('EVENTS')).config
  const epoch = metadata?.['sse-epoch']
  await lab.nats.kill()
  const old = await lab.client(gateway, { topics: ['a'], lastEventId: `${epoch}-1` })
  await old.untilClosed()
  expect([old.status, old.body]).toEqual([200, expect.stringMatching(/^retry: \d+\n\n$/)])
  const ahead = await ask(gateway, { 'last-event-id': `${epoch}-${head + 5}` })
  expect(ahead.status).toBe(503)
  // What the pod knows by itself it serves.
  const recent = await lab.client(gateway, {
    topics: ['a'],
    lastEventId: published.at(-5) ? `${epoch}-${head - 4}` : '',
  })
  await recent.untilCount(4)
  await lab.nats.restart()
  await waitUntil(
    async () => {
      if (!old.open) await old.connect(gateway.url)
      return old.control('$live')
    },
    { what: 'the old position to be served', intervalMs: 100 },
  )
  expect(old.numbers).toEqual(published.slice(1).map(({ n }) => n))
})

test('NATS going away in the middle of a replay only delays it', async () => {
  const published = await writer.numbered(6_000, 'long', 1_000)
  const client = await lab.client(gateway, { topics: ['long'], query: { since: 'all' } })
  client.pause()
  await lab.nats.kill()
  client.unpause()
  await lab.nats.restart()
  await client.untilLive(20_000)
  expect(client.numbers).toEqual(published.map(({ n }) => n))
})
