/**
 * Does anybody notice a deploy? Holds clients and publishes for DURATION. Meanwhile something else deploys: kubectl
 * rollout restart, `make deploy`, or a kill of gateways one by one. Every client must come back to where it was, and
 * at least a share of them must have been moved, else there was no deploy to measure.
 *
 * CONNECTIONS=1000 RATE=20 DURATION=3m MIN_MOVED=0.5 P99_MS=10000 MIN_RESUME_OK=0.99
 * MAX_CONNECT_ERRORS=CONNECTIONS (attempts that a browser makes again; refusals show as clients that are not open)
 */
import { check } from 'k6'
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

const connections = share('CONNECTIONS', 1000, 1)

export const options = scenarioOptions('rolling-deploy', {
  p99Ms: 10_000,
  resumeOk: 0.99,
  connectErrors: connections,
  turnedAway: 'any',
})

export default async function rollingDeploy(): Promise<void> {
  const topics = topicsOf(10)
  const rampPerSecond = share('RAMP', 1000)
  const swarm = sse.open({
    ...clientSettings(),
    name: 'rolling-deploy',
    topics: (i) => topics[i % 10] as string,
    connections,
    rampPerSecond,
  })
  await allOpen(swarm, rampPerSecond)
  console.log('deploy now')
  await allStored(
    sse.publish({
      ...publisherSettings(),
      topics,
      rate: number('RATE', 20),
      duration: duration('DURATION', '3m'),
    }),
  )
  const [result] = await allDelivered([swarm], '60s')
  const moved = (result?.closed ?? 0) / connections
  console.log(
    `${(moved * 100).toFixed(0)} % of the streams were moved, ${result?.closing} of them were told before`,
  )
  check(moved, { 'a deploy happened': (share) => share >= number('MIN_MOVED', 0.5) })
}

export const handleSummary = summaryOf('rolling-deploy', 'Does anybody notice a deploy?')
