import { describe, expect, it } from 'vitest'
import { isEventType } from '../../services/contract/event.ts'
import { isTopic } from '../../services/contract/topic.ts'
import { ClusterFeed } from '../../services/demo/feeds/cluster.ts'
import { readDataSet } from '../../services/demo/feeds/data-set.ts'
import { EarthquakesFeed, parseEarthquakes } from '../../services/demo/feeds/earthquakes.ts'
import type { DemoEvent, Feed, Random } from '../../services/demo/feeds/feed.ts'
import { MessagesFeed } from '../../services/demo/feeds/messages.ts'
import { NotificationsFeed } from '../../services/demo/feeds/notifications.ts'
import { OrdersFeed, orderTypes } from '../../services/demo/feeds/orders.ts'
import { parseQuotes, QuotesFeed } from '../../services/demo/feeds/quotes.ts'

const quotes = parseQuotes(readDataSet('stocks.csv'))
const earthquakes = parseEarthquakes(readDataSet('earthquakes.json'))
const startMs = Date.UTC(2026, 10, 22, 9, 30)

const feeds: [string, (random: Random) => Feed][] = [
  ['quotes', (random) => new QuotesFeed(quotes, random)],
  ['earthquakes', (random) => new EarthquakesFeed(earthquakes, random)],
  ['orders', (random) => new OrdersFeed(random)],
  ['notifications', (random) => new NotificationsFeed(random)],
  ['messages', (random) => new MessagesFeed(random)],
]

describe.each(feeds)('the %s feed', (_name, create) => {
  it('tells the same story for the same seed and clock, and another for another', async () => {
    expect(await take(create(seeded(7)), 300)).toEqual(await take(create(seeded(7)), 300))
    const stories = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => take(create(seeded(seed)), 300)))
    expect(new Set(stories.map((story) => JSON.stringify(story))).size).toBeGreaterThan(1)
  })

  it('gives only topics and types that the publisher takes', async () => {
    for (const event of await take(create(seeded(1)), 300)) {
      expect(isTopic(event.topic), event.topic).toBe(true)
      expect(isEventType(event.type), event.type).toBe(true)
      expect(JSON.parse(JSON.stringify(event.data))).toEqual(event.data)
    }
  })
})

describe('quotes', () => {
  it('are the recorded prices of each symbol, in their recorded order', async () => {
    const ticks = (await take(new QuotesFeed(quotes, seeded(3)), 600)) as { data: Tick; topic: string }[]
    const apple = ticks.filter(({ data }) => data.symbol === 'AAPL').map(({ data }) => data)
    const recorded = quotes.filter(({ symbol }) => symbol === 'AAPL').map(({ price }) => price)
    const start = recorded.indexOf((apple[0] as Tick).price)
    expect(apple.map(({ price }) => price)).toEqual(
      apple.map((_, index) => recorded[(start + index) % recorded.length]),
    )
    expect(new Set(ticks.map(({ topic }) => topic))).toEqual(
      new Set(['AAPL', 'AMZN', 'GOOG', 'IBM', 'MSFT'].map((symbol) => `demo.quotes.${symbol}`)),
    )
  })

  it('name the line of a file that is none', () => {
    expect(() => parseQuotes('symbol,date,price\nAAPL,Jan 1 2000,much')).toThrow('AAPL,Jan 1 2000,much')
  })
})

describe('earthquakes', () => {
  it('come in the order in which they happened, without blasts and tremors', () => {
    const times = earthquakes.map(({ occurredAt }) => occurredAt)
    expect(times).toEqual([...times].sort())
    expect(earthquakes.length).toBeGreaterThan(100)
    expect(earthquakes.every(({ magnitude }) => magnitude >= 2)).toBe(true)
  })
})

describe('orders', () => {
  it('each live from placed to delivered, step by step', async () => {
    const lives = Map.groupBy(await take(new OrdersFeed(seeded(5)), 500), ({ topic }) => topic)
    expect(lives.size).toBeGreaterThan(50)
    for (const life of lives.values()) {
      expect(life.map(({ type }) => type)).toEqual(orderTypes.slice(0, life.length))
    }
  })

  it('do not use the numbers of an earlier run again', async () => {
    const topics = (events: DemoEvent[]) => new Set(events.map(({ topic }) => topic))
    const before = topics(await take(new OrdersFeed(seeded(1)), 100, startMs))
    const after = topics(await take(new OrdersFeed(seeded(1)), 100, startMs + 200_000))
    expect(before.isDisjointFrom(after)).toBe(true)
  })
})

describe('the cluster feed', () => {
  const page = (delivered: number, slow = 0) =>
    [
      '# TYPE sse_connections gauge',
      'sse_connections 120',
      `sse_events_delivered_total ${delivered}`,
      'sse_gaps_total{reason="expired"} 2',
      'sse_gaps_total{reason="reset"} 1',
      'sse_tail_lag_events 4',
      `sse_delivery_latency_seconds_bucket{le="0.005"} ${delivered - slow}`,
      `sse_delivery_latency_seconds_bucket{le="0.25"} ${delivered}`,
      `sse_delivery_latency_seconds_bucket{le="+Inf"} ${delivered}`,
    ].join('\n')

  it('tells rates and percentiles between two readings, and sums over labels', async () => {
    const pages = [page(1_000), page(3_000, 500)]
    const feed = new ClusterFeed(
      { gateways: ['http://127.0.0.1:9101/metrics'] },
      async () => pages.shift() ?? '',
    )
    expect((await feed.next(0))?.data).toMatchObject({
      gateways: [{ deliveredPerSecond: 0, latencyP99Ms: null }],
    })
    expect((await feed.next(2_000))?.data).toEqual({
      publishers: [],
      probers: [],
      gateways: [
        {
          name: '127.0.0.1:9101',
          up: true,
          connections: 120,
          deliveredPerSecond: 1_000,
          tailLagEvents: 4,
          gaps: 3,
          latencyP99Ms: 250,
        },
      ],
    })
  })

  it('tells that a percentile is greater than what can be told, instead of nothing', async () => {
    const slow = (count: number) =>
      [
        'sse_delivery_latency_seconds_bucket{le="1"} 0',
        'sse_delivery_latency_seconds_bucket{le="10"} 0',
        `sse_delivery_latency_seconds_bucket{le="+Inf"} ${count}`,
      ].join('\n')
    const pages = [slow(1), slow(100)]
    const feed = new ClusterFeed(
      { gateways: ['http://127.0.0.1:9101/metrics'] },
      async () => pages.shift() ?? '',
    )
    await feed.next(0)
    expect((await feed.next(2_000))?.data).toMatchObject({
      gateways: [{ latencyP99Ms: 10_000, latencyP99Beyond: true }],
    })
  })

  it('tells what the publishers and the probers know', async () => {
    const publisherPage = (stored: number) =>
      [
        `sse_publishes_total{outcome="stored"} ${stored}`,
        'sse_publishes_total{outcome="rejected"} 70',
        'sse_log_messages 1000',
        'sse_log_bytes 250000',
        'sse_log_bytes_limit +Inf',
        'sse_log_replicas 3',
        'sse_log_replicas_current 2',
      ].join('\n')
    const proberPage = (fast: number, all: number) =>
      [
        'sse_probe_connected 1',
        'sse_probe_lost_total 1',
        'sse_probe_duplicated_total 0',
        'sse_probe_resumes_total{outcome="ok"} 5',
        'sse_probe_resumes_total{outcome="lost"} 2',
        `sse_probe_latency_seconds_bucket{le="0.01"} ${fast}`,
        `sse_probe_latency_seconds_bucket{le="1"} ${all}`,
        `sse_probe_latency_seconds_bucket{le="+Inf"} ${all}`,
      ].join('\n')
    const pages: Record<string, string[]> = {
      p: [publisherPage(100), publisherPage(120), publisherPage(140)],
      q: [proberPage(10, 10), proberPage(10, 11), proberPage(12, 13)],
    }
    const feed = new ClusterFeed(
      { gateways: [], publishers: ['http://127.0.0.1:9102/p'], probers: ['http://127.0.0.1:9105/q'] },
      async (url) => pages[url.slice(-1)]?.shift() ?? '',
    )
    await feed.next(0)
    await feed.next(2_000)
    expect((await feed.next(4_000))?.data).toEqual({
      gateways: [],
      publishers: [
        {
          name: '127.0.0.1:9102',
          up: true,
          storedPerSecond: 10,
          ackP99Ms: null,
          logEvents: 1_000,
          logBytes: 250_000,
          replicas: 3,
          replicasCurrent: 2,
        },
      ],
      // The slow one lies before the last reading, and within the last minute.
      probers: [
        {
          name: '127.0.0.1:9105',
          up: true,
          connected: true,
          roundTripP99Ms: 1_000,
          lost: 1,
          duplicated: 0,
          resumes: 5,
        },
      ],
    })
  })

  it('tells of no negative rate when a gateway was restarted', async () => {
    const pages = [page(9_000), page(100)]
    const feed = new ClusterFeed(
      { gateways: ['http://127.0.0.1:9101/metrics'] },
      async () => pages.shift() ?? '',
    )
    await feed.next(0)
    expect((await feed.next(1_000))?.data).toMatchObject({ gateways: [{ deliveredPerSecond: 100 }] })
  })

  it('shows a gateway that does not answer as away, beside the others', async () => {
    const urls = ['http://127.0.0.1:9101/metrics', 'http://127.0.0.1:9103/metrics']
    const feed = new ClusterFeed({ gateways: urls }, async (url) => {
      if (url === urls[1]) throw new Error('connection refused')
      return page(1)
    })
    expect((await feed.next(0))?.data).toMatchObject({
      gateways: [{ up: true }, { name: '127.0.0.1:9103', up: false }],
    })
  })
})

interface Tick {
  symbol: string
  price: number
}

async function take(feed: Feed, count: number, fromMs = startMs): Promise<DemoEvent[]> {
  const events: DemoEvent[] = []
  for (let i = 0; i < count; i++) events.push((await feed.next(fromMs + i * 1000)) as DemoEvent)
  return events
}

/** Numbers that look like chance and are the same for the same seed. */
function seeded(seed: number): Random {
  // A small seed's first numbers are all small.
  let state = (seed * 1_732_050_807) % 2_147_483_647
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}
