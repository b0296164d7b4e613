/**
 * Do slow readers harm the others, and do they get everything? A share of the clients reads SLOW_BYTES bytes a second
 * (0: nothing at all) while all get events; the bound on latency is on the fast ones. When publishing is over the slow
 * ones read on at full speed, to the last event. The gateway's memory is seen in its own metrics.
 *
 * CONNECTIONS=1000 SLOW_SHARE=0.2 SLOW_BYTES=200 RATE=50 EVENT_BYTES=1000 DURATION=30s P99_MS=1000
 */
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

const connections = share('CONNECTIONS', 1000, 2)
const slow = Math.max(1, Math.round(connections * number('SLOW_SHARE', 0.2)))
const { sse_latency: all, ...thresholds } = scenarioOptions('slow-readers', { p99Ms: 1000 }).thresholds ?? {}

export const options = {
  ...scenarioOptions('slow-readers', { p99Ms: 1000 }),
  thresholds: { ...thresholds, 'sse_latency{pattern:fast}': all },
}

export default async function slowReaders(): Promise<void> {
  const topics = topicsOf(1)
  const rampPerSecond = share('RAMP', 1000)
  const open = (name: string, count: number, more: object) =>
    sse.open({
      ...clientSettings(),
      name,
      topics,
      connections: count,
      rampPerSecond,
      ...more,
    })
  const swarms = [
    open('fast', connections - slow, {}),
    open('slow', slow, { slow: { bytesPerSecond: number('SLOW_BYTES', 200) } }),
  ]
  await Promise.all(swarms.map((swarm) => allOpen(swarm, rampPerSecond)))
  await allStored(
    sse.publish({
      ...publisherSettings(),
      size: number('EVENT_BYTES', 1000),
      topics,
      rate: number('RATE', 50),
      duration: duration('DURATION', '30s'),
    }),
  )
  // From now on the slow ones read like the others; they are far behind.
  await allDelivered(swarms, '180s')
}

export const handleSummary = summaryOf('slow-readers', 'Do slow readers harm the others, and get everything?')
