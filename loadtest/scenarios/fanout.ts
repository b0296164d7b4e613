/**
 * How fast does one event reach everybody? All clients on one topic, at a steady rate.
 *
 * CONNECTIONS=1000 RATE=10 (events/s) DURATION=30s EVENT_BYTES=100 P99_MS=1000
 */
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

export const options = scenarioOptions('fanout', { p99Ms: 1000 })

export default async function fanout(): Promise<void> {
  const topics = topicsOf(1)
  const rampPerSecond = share('RAMP', 1000)
  const swarm = sse.open({
    ...clientSettings(),
    name: 'fanout',
    topics,
    connections: share('CONNECTIONS', 1000, 1),
    rampPerSecond,
  })
  await allOpen(swarm, rampPerSecond)
  await allStored(
    sse.publish({
      ...publisherSettings(),
      topics,
      rate: number('RATE', 10),
      duration: duration('DURATION', '30s'),
    }),
  )
  await allDelivered([swarm])
}

export const handleSummary = summaryOf('fanout', 'How fast does one event reach everybody?')
