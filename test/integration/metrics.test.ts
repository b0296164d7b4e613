import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import { documentedMetrics, exportedMetrics } from '../support/metrics-page.ts'
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

test('every documented metric of the gateway is exported, and no other', async () => {
  expect(await exportedMetrics(gateway.operationsUrl)).toEqual(documentedMetrics('Gateway'))
  const text = await (await fetch(`${gateway.operationsUrl}/metrics`)).text()
  for (const name of ['nodejs_eventloop_lag_p99_seconds', 'process_open_fds', 'process_max_fds'])
    expect(await gateway.metric(name)).toBeGreaterThan(0)
  expect(text).toMatch(/^sse_build_info\{version="\d+\.\d+\.\d+"\} 1$/m)
  for (const name of Object.keys(documentedMetrics('Gateway')))
    expect(name).not.toMatch(/_ms$|_kb$|_seconds_total$/)
})

test('known reasons are there from the begin, at 0, so that a rate sees the first one', async () => {
  const quiet = await lab.gateway()
  const text = await (await fetch(`${quiet.operationsUrl}/metrics`)).text()
  for (const series of [
    'sse_connections_closed_total{reason="too-slow"}',
    'sse_gaps_total{reason="expired"}',
    'sse_connects_refused_total{reason="unavailable"}',
    'sse_replays_total{source="stream",outcome="failed"}',
  ])
    expect(text).toContain(`${series} 0\n`)
})

test('what a gateway reads to warm up has long been delivered: it is not measured', async () => {
  await writer.numbered(1_000, 'old')
  const warm = await lab.gateway()
  expect(await warm.metric('sse_recent_log_events')).toBeGreaterThanOrEqual(1_000)
  expect(await warm.metric('sse_delivery_latency_seconds_count')).toBe(0)
  expect(await warm.metric('sse_flush_events_count')).toBe(0)
  await writer.numbered(1, 'old')
  await waitUntil(async () => (await warm.metric('sse_delivery_latency_seconds_count')) === 1, {
    what: 'the first live event',
  })
})

test('metrics move with what happens', async () => {
  const names = [
    'sse_connects_total',
    'sse_connections_closed_total{reason="client-gone"}',
    'sse_connects_refused_total{reason="bad-topic"}',
    'sse_events_delivered_total',
    'sse_bytes_delivered_total',
    'sse_delivery_latency_seconds_count',
    'sse_flushes_total',
    'sse_flush_seconds_count',
    'sse_flush_seconds_sum',
    'sse_flush_events_sum',
    'sse_replay_events_total',
    'sse_replay_seconds_count',
    'sse_replay_wait_seconds_count',
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
    // Each event goes out in exactly one flush.
    sse_flush_events_sum: 2_000,
    sse_replay_seconds_count: 2,
    sse_replay_wait_seconds_count: 2,
    'sse_gaps_total{reason="malformed"}': 1,
    'sse_gaps_total{reason="reset"}': 1,
  })
  expect(moved.sse_bytes_delivered_total).toBeGreaterThan(8_001 * 200)
  expect(moved['sse_replays_total{source="memory",outcome="completed"}']).toBeGreaterThan(0)
  expect(moved['sse_replays_total{source="stream",outcome="completed"}']).toBe(2)
  expect(moved.sse_flush_seconds_sum).toBeGreaterThan(0)
  expect(moved.sse_flush_seconds_count).toBeGreaterThan(0)
  // Heartbeats alone are flushes too, but carry no event.
  expect(moved.sse_flush_seconds_count).toBeLessThanOrEqual(moved.sse_flushes_total as number)
  // Two streams of 2000, less what the recent log gave them.
  expect(moved.sse_replay_events_total).toBeGreaterThan(2_000)
  expect(moved.sse_replay_events_total).toBeLessThanOrEqual(4_000)
  expect(await gateway.metric('sse_recent_log_bytes')).toBeLessThanOrEqual(65_536)
  expect(await gateway.metric('sse_recent_log_events')).toBeGreaterThan(0)
  expect(await gateway.metric('sse_tail_lag_events')).toBe(0)
  expect(await gateway.metric('sse_tail_position')).toBe(writer.acknowledged.at(-1)?.sequence)
})

test('a stream that does not read is behind, by as much as it has not got, until it reads on', async () => {
  const small = await lab.gateway({ MAX_CONNECTIONS: 77, MAX_UNSENT_BYTES: 2_097_152, WARM_EVENTS: 0 })
  expect(await small.metric('sse_connections_limit')).toBe(77)
  expect(await small.metric('sse_unsent_bytes_limit')).toBe(2_097_152)
  expect(await small.metric('sse_recent_log_bytes_limit')).toBe(67_108_864)
  expect(await small.metric('sse_behind_events')).toBe(0)
  const slow = await lab.liveClient(small, ['slow'])
  slow.pause()
  await waitUntil(
    async () => {
      await writer.numbered(200, 'slow', 10_000)
      return (await small.metric('sse_behind_events')) > 200
    },
    { what: 'the kernel’s buffers to be full', timeoutMs: 30_000 },
  )
  expect(await small.metric('sse_connections{state="blocked"}')).toBe(1)
  expect(await small.metric('sse_unsent_bytes')).toBeGreaterThan(0)
  slow.unpause()
  await waitUntil(async () => (await small.metric('sse_behind_events')) === 0, { what: 'it to catch up' })
})

test('a draining pod tells how many streams are left', async () => {
  const leaving = await lab.gateway({ DRAIN_WINDOW_MS: 3_000 })
  for (let n = 0; n < 6; n++) await lab.liveClient(leaving, [`d${n}`])
  expect(await leaving.metric('sse_drain_remaining')).toBe(0)
  const seen = new Set<number>()
  let over = false
  const ended = leaving.term().then((code) => {
    over = true
    return code
  })
  while (!over) {
    const left = await leaving.metric('sse_drain_remaining').catch(() => undefined)
    if (left) seen.add(left)
  }
  expect(await ended).toBe(0)
  expect(Math.max(...seen)).toBeGreaterThan(Math.min(...seen))
})

test('without NATS the pod says so, and how old what it has becomes', async () => {
  const other = await Lab.start()
  try {
    const pod = await other.gateway()
    expect(await pod.metric('sse_nats_connected')).toBe(1)
    expect(await pod.metric('sse_tail_lag_seconds')).toBe(0)
    await other.nats.kill()
    await waitUntil(async () => (await pod.metric('sse_nats_connected')) === 0, {
      what: 'the loss to be seen',
    })
    await waitUntil(async () => (await pod.metric('sse_tail_lag_seconds')) > 1, { what: 'the lag to grow' })
    await other.nats.restart()
    await waitUntil(async () => (await pod.metric('sse_tail_lag_seconds')) === 0, { what: 'the lag to go' })
    expect(await pod.metric('sse_nats_connected')).toBe(1)
    expect(await pod.metric('sse_tail_opened_total')).toBeGreaterThan(1)
  } finally {
    await other.stop()
  }
})

test('the operations port has nothing else, and the port of the streams has none of it', async () => {
  expect((await fetch(`${gateway.operationsUrl}/v1/events?topic=a`)).status).toBe(404)
  expect((await fetch(`${gateway.url}/metrics`)).status).toBe(404)
  expect((await fetch(`${gateway.operationsUrl}/livez?x=1`)).status).toBe(200)
})
