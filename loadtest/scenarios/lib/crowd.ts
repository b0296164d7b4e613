import { check } from 'k6'
import sse, { type Publisher, type PublishResult, type Swarm, type SwarmResult } from 'k6/x/sse'
import { duration, durationMs, text } from './settings.ts'

/**
 * A token for topics of this virtual user in this run alone, so that nobody else's events are counted. RUN_NAME gives it
 * to a single process whose events another program is to follow too.
 */
export function runName(): string {
  return text('RUN_NAME', `${sse.runId}-${__VU}`)
}

export function topicsOf(count: number, kind = 'load'): string[] {
  return Array.from({ length: count }, (_, i) => `${kind}.${runName()}.${i}`)
}

const openTimeoutMs = durationMs(duration('OPEN_TIMEOUT', '60s'))

/**
 * Waits until every client of the swarm was served, for as long as its ramp takes (`rampPerSecond`) and OPEN_TIMEOUT
 * more; returns how many were not.
 */
export async function unserved(swarm: Swarm, rampPerSecond = 0): Promise<number> {
  const rampMs = rampPerSecond > 0 ? (swarm.stats().connections / rampPerSecond) * 1000 : 0
  const { open, failed, seconds } = await swarm.opened({ timeout: rampMs + openTimeoutMs })
  console.log(`${open} streams open after ${seconds.toFixed(1)} s${failed > 0 ? `, ${failed} not` : ''}`)
  return failed
}

/** The same; all of its clients must be served. */
export async function allOpen(swarm: Swarm, rampPerSecond = 0): Promise<void> {
  check(await unserved(swarm, rampPerSecond), { 'every client was served': (count) => count === 0 })
}

/** Waits for the publisher's end; it must not have been refused. */
export async function allStored(publisher: Publisher): Promise<PublishResult | undefined> {
  const result = await publisher.done().catch((error: unknown) => {
    console.error(String(error))
    return undefined
  })
  check(result, { 'every event was stored': (it) => it !== undefined && it.stored > 0 })
  if (result)
    console.log(`${result.stored} events stored in ${result.seconds.toFixed(1)} s, ${result.retries} retries`)
  return result
}

/**
 * Waits until every client has everything, for `timeout`, and was seen with an open stream, for OPEN_TIMEOUT; then ends
 * the swarms.
 */
export async function allDelivered(swarms: Swarm[], timeout = '30s'): Promise<SwarmResult[]> {
  const ends = await Promise.all(swarms.map((swarm) => swarm.complete({ timeout })))
  check(ends, { 'every event was delivered': (all) => all.every((end) => end.missing === 0) })
  const crowds = await Promise.all(swarms.map((swarm) => swarm.present({ timeout: openTimeoutMs })))
  check(crowds, { 'every client is still there': (all) => all.every((crowd) => crowd.away === 0) })
  return swarms.map((swarm) => {
    const result = swarm.close()
    console.log(
      `${result.name}: ${result.events} events to ${result.connections} clients, ${result.lost} lost, ` +
        `${result.duplicated} duplicated, ${result.outOfOrder} out of order, ${result.reconnects} reconnects, ` +
        `p99 ${result.latencyMs.p99} ms`,
    )
    return result
  })
}
