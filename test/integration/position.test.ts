import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { formatEventId } from '../../services/contract/event-id.ts'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import { type NatsProxy, startNatsProxy } from '../support/nats-proxy.ts'
import type { Service } from '../support/service.ts'
import type { SseClient } from '../support/sse-client.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let gateway: Service
let writer: LogWriter
let epoch: string

const small = { RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 100 }

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway(small)
  writer = await lab.writer()
  epoch = (await writer.manager.streams.info('EVENTS')).config.metadata?.['sse-epoch'] as string
})
afterEach(() => expect(lab.endClients()).toEqual([]))
afterAll(() => lab?.stop())

const id = (sequence: number) => formatEventId(epoch, sequence)
const head = async () => (await writer.manager.streams.info('EVENTS')).state.last_seq
const numbersOf = (list: { n: number }[]) => list.map(({ n }) => n)
const gaps = (reason: string) => gateway.metric(`sse_gaps_total{reason="${reason}"}`)
const caughtUp = async (pod = gateway) => {
  const last = await head()
  await waitUntil(async () => (await pod.metric('sse_tail_position')) >= last, {
    what: 'the pod to catch up',
  })
}

/** The stream says so in band, and then goes on with what is published next. */
async function goesOnLive(client: SseClient, topic: string): Promise<void> {
  const seen = client.events.length
  const [next] = await writer.numbered(1, topic)
  await client.untilCount(seen + 1)
  expect(client.numbers.at(-1)).toBe(next?.n)
}

describe('a position', () => {
  test('that is valid is honoured, in a header or in the query; the header counts first', async () => {
    const events = await writer.numbered(10, 'valid')
    const from = id(events[3]?.sequence as number)
    const byHeader = await lab.client(gateway, {
      topics: ['valid'],
      lastEventId: from,
      query: { 'last-event-id': id(0) },
    })
    const byQuery = await lab.client(gateway, { topics: ['valid'], query: { 'last-event-id': from } })
    for (const client of [byHeader, byQuery]) {
      await client.untilLive()
      expect(client.numbers).toEqual(numbersOf(events.slice(4)))
      expect(client.controls[0]).toMatchObject({ type: '$position', id: from })
      expect(client.control('$gap')).toBeUndefined()
    }
  })

  test('counts before `since`', async () => {
    const events = await writer.numbered(3, 'before-since')
    await caughtUp()
    const lastEventId = id(events[1]?.sequence as number)
    const client = await lab.client(gateway, {
      topics: ['before-since'],
      lastEventId,
      query: { since: 'all' },
    })
    await client.untilLive()
    expect(client.numbers).toEqual(numbersOf(events.slice(2)))
  })

  test.each([
    'nonsense',
    '12',
    'UPPER-1',
    '-',
    'a-01',
    'a--1',
    'abc-99999999999999999999',
    'x'.repeat(5_000),
    'é-1',
  ])('that is malformed (%.20s) gets $gap malformed and goes on from now', async (lastEventId) => {
    await writer.numbered(2, 'malformed')
    await caughtUp()
    const before = await gaps('malformed')
    // In the query, where any text may stand.
    const client = await lab.client(gateway, {
      topics: ['malformed'],
      query: { 'last-event-id': lastEventId },
    })
    const gap = await client.untilControl('$gap')
    expect(gap.data).toEqual({
      requested: lastEventId.slice(0, 64),
      resumedAt: id(await head()),
      reason: 'malformed',
    })
    expect(gap.id).toBe(gap.data.resumedAt)
    await goesOnLive(client, 'malformed')
    expect(client.events).toHaveLength(1)
    expect(await gaps('malformed')).toBe(before + 1)
  })

  test('ahead of the log gets $gap ahead and goes on from now', async () => {
    await writer.numbered(2, 'ahead')
    await caughtUp()
    const client = await lab.client(gateway, { topics: ['ahead'], lastEventId: id((await head()) + 5) })
    expect((await client.untilControl('$gap')).data).toMatchObject({
      requested: id((await head()) + 5),
      resumedAt: id(await head()),
      reason: 'ahead',
    })
    await goesOnLive(client, 'ahead')
  })

  test('of another log gets $gap reset and goes on from the first event kept', async () => {
    const client = await lab.client(gateway, { topics: ['valid'], lastEventId: 'elsewhere-7' })
    expect((await client.untilControl('$gap')).data).toEqual({
      requested: 'elsewhere-7',
      resumedAt: id(0),
      reason: 'reset',
    })
    await client.untilLive()
    expect(client.events).toHaveLength(10)
  })

  test('behind events that were deleted in the middle is no gap', async () => {
    const events = await writer.numbered(1_500, 'holes', 100)
    for (const index of [0, 5, 6, 7, 1_498, 1_499])
      await writer.manager.streams.deleteMessage('EVENTS', events[index]?.sequence as number)
    const expected = numbersOf(events).filter((_, index) => ![0, 5, 6, 7, 1_498, 1_499].includes(index))
    const fresh = await lab.gateway(small)
    for (const pod of [gateway, fresh]) {
      const from = id((events[0]?.sequence as number) - 1)
      const client = await lab.client(pod, { topics: ['holes'], lastEventId: from })
      await client.untilLive()
      // The pod that had them in memory may still send the newest two.
      expect(client.numbers.filter((n) => expected.includes(n))).toEqual(expected)
      expect(client.control('$gap')).toBeUndefined()
    }
    await fresh.kill()
  })
})

describe('since', () => {
  test('all, a duration and a time begin where they say', async () => {
    const old = await writer.numbered(600, 'since', 150)
    await new Promise((resolve) => setTimeout(resolve, 60))
    const between = new Date()
    await new Promise((resolve) => setTimeout(resolve, 60))
    const young = await writer.numbered(600, 'since', 150)
    await caughtUp()
    const sinceText = async (since: string) => {
      const client = await lab.client(gateway, { topics: ['since'], query: { since } })
      await client.untilLive()
      return client.numbers
    }
    const all = numbersOf([...old, ...young])
    expect(await sinceText('all')).toEqual(all)
    expect(await sinceText('1h')).toEqual(all)
    expect(await sinceText('2000-01-01T00:00:00Z')).toEqual(all)
    expect(await sinceText(between.toISOString())).toEqual(numbersOf(young))
    const [sign, zone] = ['+', '02:00']
    const local = new Date(between.getTime() + 7_200_000).toISOString().replace('Z', `${sign}${zone}`)
    expect(await sinceText(local)).toEqual(numbersOf(young))
    const elapsed = Date.now() - between.getTime()
    expect((await sinceText(`${elapsed}ms`)).slice(-young.length)).toEqual(numbersOf(young))
  })

  test('a time to come is live only', async () => {
    const client = await lab.client(gateway, { topics: ['since'], query: { since: '2100-01-01T00:00:00Z' } })
    await client.untilFirstBlock()
    await goesOnLive(client, 'since')
    expect(client.events).toHaveLength(1)
  })

  test.each([
    '',
    'yesterday',
    '10',
    '10 m',
    '-5m',
    '1.5h',
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-13-01T00:00:00Z',
  ])('that can’t be read (%s) is refused', async (since) => {
    const answer = await fetch(`${gateway.url}/v1/events?${new URLSearchParams({ topic: 'a', since })}`)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      type: 'urn:sse-cluster:problem:bad-position',
      parameter: 'since',
      detail: expect.stringContaining(`since=${since}`),
    })
  })
})

describe('a pod that lags', () => {
  let proxy: NatsProxy
  let lagging: Service
  beforeAll(async () => {
    proxy = await startNatsProxy(lab.nats.port)
    lagging = await lab.gateway({ ...small, NATS_URL: proxy.url, HEARTBEAT_INTERVAL_MS: 200 })
  })
  afterAll(() => proxy?.stop())

  test('makes a client whose position is ahead of its tail wait, and then go on without gap or duplicate', async () => {
    const client = await lab.liveClient(gateway, ['lag'])
    proxy.holdDeliveries()
    const seen = await writer.numbered(20, 'lag')
    await client.untilCount(20)
    await client.connect(lagging.url)
    // A sign of life that moves no position.
    await waitUntil(() => client.body.includes(': '), { what: 'a comment' })
    expect(await lagging.metric('sse_connections{state="early"}')).toBe(1)
    const missed = await writer.numbered(20, 'lag')
    proxy.release()
    await client.untilLive()
    const next = await writer.numbered(1, 'lag')
    await client.untilCount(41)
    expect(client.numbers).toEqual(numbersOf([...seen, ...missed, ...next]))
    expect(client.control('$gap')).toBeUndefined()
  })

  test('still calls a position ahead that no pod can have read', async () => {
    proxy.holdDeliveries()
    await writer.numbered(5, 'lag')
    const client = await lab.client(lagging, { topics: ['lag'], lastEventId: id((await head()) + 1) })
    expect((await client.untilControl('$gap')).data.reason).toBe('ahead')
    proxy.release()
  })
})

describe('after a purge', () => {
  test('a position before the oldest event kept gets $gap expired and goes on from there', async () => {
    const events = await writer.numbered(3_000, 'purged', 100)
    await caughtUp()
    const kept = events.slice(2_000)
    await writer.manager.streams.purge('EVENTS', { seq: kept[0]?.sequence as number })
    const before = await gaps('expired')
    const client = await lab.client(gateway, {
      topics: ['purged'],
      lastEventId: id(events[5]?.sequence as number),
    })
    const gap = await client.untilControl('$gap')
    expect(gap.data).toEqual({
      requested: id(events[5]?.sequence as number),
      resumedAt: id((kept[0]?.sequence as number) - 1),
      reason: 'expired',
    })
    await client.untilLive()
    expect(client.numbers).toEqual(numbersOf(kept))
    expect(await gaps('expired')).toBe(before + 1)
  })

  test('of everything, an old position gets $gap expired, and the newest one is still valid', async () => {
    const events = await writer.numbered(10, 'purged')
    await caughtUp()
    await writer.manager.streams.purge('EVENTS')
    const fresh = await lab.gateway(small)
    const newest = await lab.client(fresh, { topics: ['purged'], lastEventId: id(await head()) })
    await newest.untilLive()
    expect(newest.control('$gap')).toBeUndefined()
    const old = await lab.client(fresh, {
      topics: ['purged'],
      lastEventId: id(events[0]?.sequence as number),
    })
    expect((await old.untilControl('$gap')).data).toMatchObject({
      reason: 'expired',
      resumedAt: id(await head()),
    })
    await goesOnLive(old, 'purged')
    await fresh.kill()
  })

  test('while a pod was away from NATS, its live clients hear $gap expired', async () => {
    const proxy = await startNatsProxy(lab.nats.port)
    const away = await lab.gateway({ ...small, NATS_URL: proxy.url })
    const client = await lab.liveClient(away, ['away'])
    await writer.numbered(3, 'away')
    await client.untilCount(3)
    proxy.cut()
    const events = await writer.numbered(10, 'away')
    await writer.manager.streams.purge('EVENTS', { seq: events[4]?.sequence as number })
    proxy.mend()
    const gap = await client.untilControl('$gap')
    expect(gap.data).toMatchObject({ reason: 'expired', resumedAt: id(events[3]?.sequence as number) })
    await client.untilCount(9)
    expect(client.numbers.slice(3)).toEqual(numbersOf(events.slice(4)))
    await away.kill()
    await proxy.stop()
  })
})
