import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let gateway: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway({ RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0 })
  writer = await lab.writer()
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

test('every promised metric is there, typed and explained, with base units and a fixed set of series', async () => {
  const text = await (await fetch(`${gateway.operationsUrl}/metrics`)).text()
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]))
  expect(Object.fromEntries(types)).toMatchObject({
    sse_connections: 'gauge',
    sse_connects_total: 'counter',
    sse_connects_refused_total: 'counter',
    sse_connections_closed_total: 'counter',
    sse_events_delivered_total: 'counter',
    sse_bytes_delivered_total: 'counter',
    sse_delivery_latency_seconds: 'histogram',
    sse_replays_total: 'counter',
    sse_gaps_total: 'counter',
    sse_tail_lag_events: 'gauge',
    sse_recent_log_bytes: 'gauge',
    sse_recent_log_age_seconds: 'gauge',
    sse_unsent_bytes: 'gauge',
    sse_draining: 'gauge',
    nodejs_eventloop_lag_p99_seconds: 'gauge',
    process_resident_memory_bytes: 'gauge',
  })
  for (const name of types.keys()) expect(text).toMatch(new RegExp(`^# HELP ${name} \\S`, 'm'))
  for (const name of [...types.keys()].filter((name) => name?.startsWith('sse_')))
    expect(name).not.toMatch(/_ms$|_kb$/)
})

test('metrics move with what happens', async () => {
  const names = [
    'sse_connects_total',
    'sse_connections_closed_total{reason="client-gone"}',
    'sse_connects_refused_total{reason="bad-topic"}',
    'sse_events_delivered_total',
    'sse_bytes_delivered_total',
    'sse_delivery_latency_seconds_count',
    'sse_replays_total{source="memory",outcome="completed"}',
    'sse_replays_total{source="stream",outcome="completed"}',
    'sse_gaps_total{reason="malformed"}',
    'sse_gaps_total{reason="reset"}',
  ]
  const read = async () =>
    Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await gateway.metric(name)] as const)),
    )
  const before = await read()
  const live = await Promise.all([1, 2].map(() => lab.liveClient(gateway, ['m'])))
  expect(await gateway.metric('sse_connections{state="live"}')).toBe(2)
  expect(await gateway.metric('sse_groups')).toBe(1)
  await writer.numbered(2_000, 'm', 100)
  await Promise.all(live.map((client) => client.untilCount(2_000)))
  const replayed = await lab.client(gateway, { topics: ['m'], query: { since: 'all' } })
  await replayed.untilLive()
  const resumed = await lab.client(gateway, {
    topics: ['m'],
    lastEventId: replayed.events.at(-2)?.id as string,
  })
  await resumed.untilLive()
  const malformed = await lab.client(gateway, { topics: ['m'], lastEventId: '?' })
  const reset = await lab.client(gateway, { topics: ['m'], lastEventId: 'other-1' })
  for (const client of [malformed, reset]) await client.untilControl('$gap')
  await reset.untilLive()
  await fetch(`${gateway.url}/v1/events?topic=..`)
  live[0]?.close()
  await waitUntil(async () => (await gateway.metric('sse_connections{state="live"}')) === 5, {
    what: 'one stream less',
  })
  const after = await read()
  const moved = Object.fromEntries(
    names.map((name) => [name, (after[name] as number) - (before[name] as number)]),
  )
  // 2 live streams, the replayed and the reset one have all 2000, the resumed one has 1.
  expect(moved).toMatchObject({
    sse_connects_total: 6,
    'sse_connections_closed_total{reason="client-gone"}': 1,
    'sse_connects_refused_total{reason="bad-topic"}': 1,
    sse_events_delivered_total: 8_001,
    sse_delivery_latency_seconds_count: 2_000,
    'sse_gaps_total{reason="malformed"}': 1,
    'sse_gaps_total{reason="reset"}': 1,
  })
  expect(moved.sse_bytes_delivered_total).toBeGreaterThan(8_001 * 200)
  expect(moved['sse_replays_total{source="memory",outcome="completed"}']).toBeGreaterThan(0)
  expect(moved['sse_replays_total{source="stream",outcome="completed"}']).toBe(2)
  expect(await gateway.metric('sse_recent_log_bytes')).toBeLessThanOrEqual(65_536)
  expect(await gateway.metric('sse_recent_log_events')).toBeGreaterThan(0)
  expect(await gateway.metric('sse_tail_lag_events')).toBe(0)
  expect(await gateway.metric('sse_tail_position')).toBe(writer.acknowledged.at(-1)?.sequence)
})

test('the operations port has nothing else, and the port of the streams has none of it', async () => {
  expect((await fetch(`${gateway.operationsUrl}/v1/events?topic=a`)).status).toBe(404)
  expect((await fetch(`${gateway.url}/metrics`)).status).toBe(404)
  expect((await fetch(`${gateway.operationsUrl}/livez?x=1`)).status).toBe(200)
})
