/**
 * How many streams can be held open, and what does opening them take? Ramps to CONNECTIONS and holds them for DURATION
 * with little traffic, which shows that each one is alive.
 *
 * CONNECTIONS=1000 RAMP=500 (per second) DURATION=60s RATE=1 (events/s) TOPICS=100 CONNECT_P99_MS=5000 P99_MS=2000
 */
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

const connections = share('CONNECTIONS', 1000, 1)

export const options = scenarioOptions(
  'connections',
  { p99Ms: 2000 },
  {
    sse_connect_duration: [`p(99)<${number('CONNECT_P99_MS', 5000)}`],
    sse_first_block_duration: [`p(99)<${number('CONNECT_P99_MS', 5000)}`],
  },
)

export default async function hold(): Promise<void> {
  const topics = topicsOf(number('TOPICS', 100, 1))
  const swarm = sse.open({
    ...clientSettings(),
    name: 'connections',
    topics: (i) => topics[i % topics.length] as string,
    connections,
    rampPerSecond: share('RAMP', 500),
  })
  await allOpen(swarm)
  await allStored(
    sse.publish({
      ...publisherSettings(),
      topics,
      rate: number('RATE', 1),
      duration: duration('DURATION', '60s'),
    }),
  )
  await allDelivered([swarm])
}

export const handleSummary = summaryOf('connections', 'How many streams can be held open?')
