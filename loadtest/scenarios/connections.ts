/**
 * How many streams can be held open, and what does opening them take? Ramps to CONNECTIONS and holds them for DURATION
 * with little traffic: each of them gets two events and more, which shows that it is alive.
 *
 * CONNECTIONS=1000 RAMP=500 (per second) DURATION=60s TOPICS=100 RATE=2*TOPICS/DURATION (events/s)
 * CONNECT_P99_MS=5000 P99_MS=2000
 */
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, durationMs, number, publisherSettings, share } from './lib/settings.ts'

const connections = share('CONNECTIONS', 1000, 1)
const topicCount = number('TOPICS', 100, 1)
const seconds = durationMs(duration('DURATION', '60s')) / 1000
const rate = number('RATE', Math.ceil((2 * topicCount) / seconds))
if (rate * seconds < topicCount)
  throw new Error(
    `RATE=${rate} for ${seconds} s is fewer events than TOPICS=${topicCount}: a stream without any shows nothing. ` +
      `Raise RATE or DURATION, or take fewer TOPICS.`,
  )

export const options = scenarioOptions(
  'connections',
  { p99Ms: 2000 },
  {
    sse_connect_duration: [`p(99)<${number('CONNECT_P99_MS', 5000)}`],
    sse_first_block_duration: [`p(99)<${number('CONNECT_P99_MS', 5000)}`],
  },
)

export default async function hold(): Promise<void> {
  const topics = topicsOf(topicCount)
  const rampPerSecond = share('RAMP', 500)
  const swarm = sse.open({
    ...clientSettings(),
    name: 'connections',
    topics: (i) => topics[i % topics.length] as string,
    connections,
    rampPerSecond,
  })
  await allOpen(swarm, rampPerSecond)
  await allStored(
    sse.publish({
      ...publisherSettings(),
      topics,
      rate,
      duration: duration('DURATION', '60s'),
    }),
  )
  await allDelivered([swarm])
}

export const handleSummary = summaryOf('connections', 'How many streams can be held open?')
