import { check } from 'k6'
import sse, { type Publisher, type PublishResult, type Swarm, type SwarmResult } from 'k6/x/sse'

/** A token for topics of this virtual user in this run alone, so that nobody else's events are counted. */
export function runName(): string {
  return `${sse.runId}-${__VU}`
}

export function topicsOf(count: number, kind = 'load'): string[] {
  return Array.from({ length: count }, (_, i) => `${kind}.${runName()}.${i}`)
}

/** Waits until the swarm is open; all of its clients must be. */
export async function allOpen(swarm: Swarm, timeout = '10m'): Promise<void> {
  const { open, opened, failed, seconds } = await swarm.opened({ timeout })
  console.log(`${open} streams open after ${seconds.toFixed(1)} s${failed > 0 ? `, ${failed} not` : ''}`)
  check(failed, { 'every client was served': (count) => count === 0 && opened > 0 })
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

/** Waits until every client has everything, then ends the swarms. */
export async function allDelivered(swarms: Swarm[], timeout = '30s'): Promise<SwarmResult[]> {
  const ends = await Promise.all(swarms.map((swarm) => swarm.complete({ timeout })))
  check(ends, { 'every event was delivered': (all) => all.every((end) => end.missing === 0) })
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
