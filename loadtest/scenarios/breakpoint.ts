/**
 * Where does it break? Raises the publishing rate (STEP_BY=rate) or the number of clients (STEP_BY=connections) by
 * STEP_FACTOR, step by step, until a step has a p99 beyond P99_MS, is not delivered, can't be published at its rate, or
 * has clients that are not served (within OPEN_TIMEOUT after the ramp).
 * Reports the last good step. Loss and duplicates fail the run in every step; breaking does not, unless at the first.
 *
 * CONNECTIONS=1000 RATE=10 STEP_BY=rate STEP_FACTOR=1.5 STEPS=12 STEP_DURATION=15s P99_MS=500
 */
import { check } from 'k6'
import { Gauge } from 'k6/metrics'
import sse, { type Swarm } from 'k6/x/sse'
import { topicsOf, unserved } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import {
  clientSettings,
  duration,
  durationMs,
  number,
  publisherSettings,
  share,
  text,
} from './lib/settings.ts'

const lastGoodRate = new Gauge('breakpoint_rate')
const lastGoodConnections = new Gauge('breakpoint_connections')
const lastGoodDeliveries = new Gauge('breakpoint_deliveries_per_second')
const base = scenarioOptions('breakpoint', { p99Ms: 0, turnedAway: 'any' })
const { sse_latency: _, ...thresholds } = base.thresholds ?? {}

export const options = { ...base, thresholds: { ...thresholds, breakpoint_rate: ['value>0'] } }

export default async function breakpoint(): Promise<void> {
  const topics = topicsOf(1)
  const byRate = text('STEP_BY', 'rate') === 'rate'
  const factor = number('STEP_FACTOR', 1.5, 1)
  const swarms: Swarm[] = []
  let connections = 0
  const rampPerSecond = share('RAMP', 1000)
  let waiting = 0
  const growTo = async (count: number) => {
    const swarm = sse.open({
      ...clientSettings(),
      name: 'breakpoint',
      topics,
      connections: count - connections,
      rampPerSecond,
    })
    swarms.push(swarm)
    connections = count
    waiting = await unserved(swarm, rampPerSecond)
  }
  await growTo(share('CONNECTIONS', 1000, 1))
  let rate = number('RATE', 10, 1)
  let good = 0
  for (let step = 1; step <= number('STEPS', 12, 1); step++) {
    if (step > 1 && byRate) rate = Math.ceil(rate * factor)
    else if (step > 1) await growTo(Math.ceil(connections * factor))
    const fault =
      waiting > 0
        ? `${waiting} of its clients are not served`
        : await faultOf(swarms, topics, rate, connections)
    console.log(
      `step ${step}: ${connections} clients, ${rate} events/s: ${fault === '' ? 'good' : `breaks, ${fault}`}`,
    )
    if (fault !== '') break
    good = step
    lastGoodRate.add(rate)
    lastGoodConnections.add(connections)
    lastGoodDeliveries.add(rate * connections)
  }
  console.log(good > 0 ? `last good step: ${good}` : 'no step was good')
  check(good, { 'the first step was good': (step) => step > 0 })
  // What a step beyond the break could not deliver in time has to come all the same.
  await Promise.all(swarms.map((swarm) => swarm.complete({ timeout: '120s' })))
  for (const swarm of swarms) swarm.close()
}

/** Publishes for a step, and tells why it was not good; empty when it was. */
async function faultOf(
  swarms: Swarm[],
  topics: string[],
  rate: number,
  connections: number,
): Promise<string> {
  const lasts = duration('STEP_DURATION', '15s')
  for (const swarm of swarms) swarm.window()
  const { stored } = await sse.publish({ ...publisherSettings(), topics, rate, duration: lasts }).done()
  const wanted = (rate * durationMs(lasts)) / 1000
  if (stored < wanted * 0.95)
    return `only ${Math.round((stored / wanted) * 100)} % of its events could be published`
  await sse.sleep('500ms')
  const windows = swarms.map((swarm) => swarm.window())
  const events = windows.reduce((sum, window) => sum + window.events, 0)
  if (events < stored * connections * 0.99)
    return `${Math.round((events / (stored * connections)) * 100)} % delivered in time`
  const p99 = Math.max(...windows.map((window) => window.latencyMs.p99))
  return p99 > number('P99_MS', 500) ? `p99 ${p99.toFixed(0)} ms` : ''
}

export const handleSummary = summaryOf('breakpoint', 'Where does it break?')
