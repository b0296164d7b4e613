/**
 * Does it stay as it was on the first day? Moderate load for a long time; a part of the clients loses its network every
 * CUT_EVERY, and the streams reach their maximum age many times.
 *
 * CONNECTIONS=1000 RATE=20 DURATION=1h CUT_EVERY=30s CUT_SHARE=0.05 P99_MS=2000 MIN_RESUME_OK=1
 */
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, durationMs, number, publisherSettings, share } from './lib/settings.ts'

const lasts = duration('DURATION', '1h')

export const options = scenarioOptions('soak', { p99Ms: 2000, resumeOk: 1 })

export default async function soak(): Promise<void> {
  const topics = topicsOf(20)
  const rampPerSecond = share('RAMP', 500)
  const swarm = sse.open({
    ...clientSettings(),
    name: 'soak',
    topics: (i) => topics[i % 20] as string,
    connections: share('CONNECTIONS', 1000, 1),
    rampPerSecond,
  })
  await allOpen(swarm, rampPerSecond)
  const stored = allStored(
    sse.publish({ ...publisherSettings(), topics, rate: number('RATE', 20), duration: lasts }),
  )
  const pauseMs = durationMs(duration('CUT_EVERY', '30s'))
  for (const endsAt = Date.now() + durationMs(lasts); Date.now() + pauseMs < endsAt; ) {
    await sse.sleep(pauseMs)
    swarm.cut({ share: number('CUT_SHARE', 0.05) })
  }
  await stored
  await allDelivered([swarm], '60s')
}

export const handleSummary = summaryOf('soak', 'Does it stay as it was on the first day?')
