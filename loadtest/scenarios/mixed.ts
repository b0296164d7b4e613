/**
 * Does it carry what people use it for, all at once? The five uses in realistic proportions: push notifications (a topic
 * per user, rare events), a news feed (few topics by pattern, everybody), order updates (a topic per order, bursts),
 * a live dashboard (few viewers, many events), and one-way messages (rooms).
 *
 * CONNECTIONS=1000 (60 % notifications, 20 % news, 10 % orders, 8 % messages, 2 % dashboards) DURATION=60s SCALE=1
 * (of all rates) P99_MS=1000
 */
import sse, { type Swarm } from 'k6/x/sse'
import { allDelivered, allOpen, allStored, runName } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

interface Use {
  name: string
  share: number
  topics: number
  /** Events per second over all topics, and the bytes of each. */
  rate: number
  bytes: number
  type: string
  /** What client `i` subscribes to; unless told one topic each. */
  pattern?: string
}

const uses: Use[] = [
  { name: 'notifications', share: 0.6, topics: 600, rate: 30, bytes: 200, type: 'notification' },
  { name: 'news', share: 0.2, topics: 8, rate: 2, bytes: 1500, type: 'article', pattern: '*' },
  { name: 'orders', share: 0.1, topics: 100, rate: 20, bytes: 300, type: 'order.shipped' },
  { name: 'messages', share: 0.08, topics: 20, rate: 10, bytes: 400, type: 'message' },
  { name: 'dashboard', share: 0.02, topics: 40, rate: 100, bytes: 100, type: 'sample', pattern: '*' },
]

export const options = scenarioOptions(
  'mixed',
  { p99Ms: 1000 },
  Object.fromEntries(
    uses.map((use) => [`sse_latency{pattern:${use.name}}`, [`p(99)<${number('P99_MS', 1000)}`]]),
  ),
)

export default async function mixed(): Promise<void> {
  const connections = share('CONNECTIONS', 1000, 50)
  const scale = number('SCALE', 1)
  const rampPerSecond = share('RAMP', 1000)
  const topicsOf = (use: Use) => Array.from({ length: use.topics }, (_, i) => `${use.name}.${runName()}.${i}`)
  const swarms: Swarm[] = uses.map((use) => {
    const topics = topicsOf(use)
    return sse.open({
      ...clientSettings(),
      name: use.name,
      topics: use.pattern
        ? `${use.name}.${runName()}.${use.pattern}`
        : (i) => topics[i % topics.length] as string,
      connections: Math.max(1, Math.round(connections * use.share)),
      rampPerSecond: rampPerSecond * use.share,
    })
  })
  await Promise.all(swarms.map((swarm, i) => allOpen(swarm, rampPerSecond * (uses[i] as Use).share)))
  await Promise.all(
    uses.map((use) =>
      allStored(
        sse.publish({
          ...publisherSettings(),
          topics: topicsOf(use),
          rate: use.rate * scale,
          size: use.bytes,
          type: use.type,
          duration: duration('DURATION', '60s'),
          tags: { pattern: use.name },
        }),
      ),
    ),
  )
  await allDelivered(swarms)
}

export const handleSummary = summaryOf('mixed', 'Does it carry what people use it for, all at once?')
