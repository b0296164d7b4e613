/**
 * Does it matter how the interest is spread? As many topics as clients; each client has one of its own, and every tenth
 * adds a pattern over a hundred of them.
 *
 * CONNECTIONS=1000 TOPICS=1000 RATE=500 (events/s over all) DURATION=30s P99_MS=1000
 */
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, runName } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

export const options = scenarioOptions('many-topics', { p99Ms: 1000 })

export default async function manyTopics(): Promise<void> {
  const count = number('TOPICS', 1000, 1)
  const family = (i: number) => `load.${runName()}.${Math.floor(i / 100)}`
  const topics = Array.from({ length: count }, (_, i) => `${family(i)}.${i}`)
  const rampPerSecond = share('RAMP', 1000)
  const swarm = sse.open({
    ...clientSettings(),
    name: 'many-topics',
    topics: (i) => {
      const own = topics[i % count] as string
      return i % 10 === 9 ? [own, `${family((i * 7) % count)}.*`] : own
    },
    connections: share('CONNECTIONS', 1000, 1),
    rampPerSecond,
  })
  await allOpen(swarm, rampPerSecond)
  await allStored(
    sse.publish({
      ...publisherSettings(),
      topics,
      workers: number('PUBLISH_WORKERS', 4, 1),
      rate: number('RATE', 500),
      duration: duration('DURATION', '30s'),
    }),
  )
  await allDelivered([swarm])
}

export const handleSummary = summaryOf('many-topics', 'Does it matter how the interest is spread?')
