import type { PublishReport, SubscribeReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { count, ms } from '../words.ts'

interface SwarmReport {
  events: number
  ev_per_s: number
  lat_ms: { p50: number; p90: number; p99: number }
  dups: number
  gaps: number
}

const rates = [10, 100, 200]
const tolerance = 0.05

/** Both at once on the same gateway, half of the connections each, so that they see the same events. */
export const agreement: Row = {
  name: 'agreement',
  work: 'the load generator beside another one (SWARM)',
  goal: 'events, rate and latency percentiles within 5 %',
  how: 'The program that SWARM names and the generator are connected to the same gateway at the same time, 2,500 connections each, both on core 1, at 10, 100 and 200 events/s.',
  run: async (bench) => {
    const swarm = process.env.SWARM as string
    const number = bench.many(2_500)
    const seconds = bench.seconds(6)
    await bench.nats()
    const pod = await bench.gateway()
    const results: Record<string, unknown> = {}
    const lines: string[] = []
    let met = true
    for (const rate of rates) {
      const total = rate * (seconds + 4)
      // Opened slowly, in turns, so that neither is always served first.
      const ramp = 250
      // The lab's swarm opens a ninth slower than it is told. Where one is done earlier, its median is 10 % off.
      const ownRamp = ramp / 1.125
      const address = pod.address
      const theirOptions = { port: pod.port, conns: number, ramp, warm: 2, duration: seconds + 4 }
      const pairs = Object.entries(theirOptions).flatMap(([key, value]) => [`--${key}`, String(value)])
      const other = bench.run(swarm, [...pairs, '--path', '/v1/events?topic=bench.0'])
      const own = bench.subscribe({ address, number, ramp: ownRamp, warm: '2s', duration: `${seconds + 4}s` })
      await Promise.all([own.line('open'), other.line('open')])
      const publisher = await bench.publish({ rate, count: total }).result<PublishReport>()
      // It ends by itself, 2 s after the last event was published.
      const theirs = await other.result<SwarmReport>()
      await own.stop()
      const ours = await own.result<SubscribeReport>()
      const differences = {
        events: ours.events / theirs.events - 1,
        p50: (ours.latencyMs?.p50 ?? 0) / theirs.lat_ms.p50 - 1,
        p90: (ours.latencyMs?.p90 ?? 0) / theirs.lat_ms.p90 - 1,
        p99: (ours.latencyMs?.p99 ?? 0) / theirs.lat_ms.p99 - 1,
      }
      met &&= Object.values(differences).every((difference) => Math.abs(difference) <= tolerance)
      results[rate] = { ours, theirs, publisher, differences }
      lines.push(
        `${rate}/s: ${count(ours.events)} and ${count(theirs.events)} events, p50 ${ms(ours.latencyMs?.p50)} and ${ms(theirs.lat_ms.p50)}, p99 ${ms(ours.latencyMs?.p99)} and ${ms(theirs.lat_ms.p99)}`,
      )
    }
    return { measured: lines.join('; '), met, figures: results }
  },
}
