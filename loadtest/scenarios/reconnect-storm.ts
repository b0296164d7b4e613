/**
 * What happens when everybody loses the network and comes back? Cuts all streams at once, STORMS times, while events go
 * on; the clients come back within RETURN_WITHIN and must get what they have missed.
 *
 * CONNECTIONS=1000 RATE=20 STORMS=3 CALM=10s (between storms) RETURN_WITHIN=1s P99_MS=10000 MIN_RESUME_OK=1
 * MAX_CONNECT_ERRORS=0
 */
import { check } from 'k6'
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

const connections = share('CONNECTIONS', 1000, 1)

export const options = scenarioOptions('reconnect-storm', {
  p99Ms: 10_000,
  resumeOk: 1,
  turnedAway: 'any',
})

export default async function reconnectStorm(): Promise<void> {
  const topics = topicsOf(10)
  const rampPerSecond = share('RAMP', 1000)
  const swarm = sse.open({
    ...clientSettings(),
    name: 'reconnect-storm',
    topics: (i) => topics[i % 10] as string,
    connections,
    rampPerSecond,
  })
  await allOpen(swarm, rampPerSecond)
  const publisher = sse.publish({ ...publisherSettings(), topics, rate: number('RATE', 20) })
  const calm = duration('CALM', '10s')
  for (let storm = 0; storm < number('STORMS', 3, 1); storm++) {
    await sse.sleep(calm)
    const cut = swarm.cut({ comeBackWithin: duration('RETURN_WITHIN', '1s') })
    console.log(`storm ${storm + 1}: ${cut} streams cut`)
    check(cut, { 'the storm met open streams': (count) => count > connections / 2 })
  }
  await sse.sleep(calm)
  const stored = allStored(publisher)
  await publisher.stop()
  await stored
  await allDelivered([swarm], '60s')
}

export const handleSummary = summaryOf(
  'reconnect-storm',
  'What happens when everybody loses the network and comes back?',
)
