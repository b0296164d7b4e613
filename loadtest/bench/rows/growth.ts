import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from '../bench.ts'
import { fanOut } from '../fan-out.ts'
import type { Row } from '../row.ts'
import { tokenSettings, writeTokens } from '../tokens.ts'
import { kilobytes, ms, p99 } from '../words.ts'

/** What one size costs; `docs/capacity.md` is made from these. */
export interface Growth {
  connections: number
  /** Core-seconds for a stream to be opened, with a token that the gateway has not seen. */
  connectCpuSeconds: number
  residentBytesEach: number
  /** Core-seconds for a delivery, at `eventsPerSecond`. */
  deliveryCpuSeconds: number
  eventsPerSecond: number
  p99Ms: number
  complete: boolean
}

const rate = 20

async function growthAt(bench: Bench, connections: number): Promise<Growth> {
  const tokens = writeTokens(join(bench.folder, `tokens-${connections}`), connections)
  const pod = await bench.gateway({ ...tokenSettings, MAX_AGE_MS: 3_600_000 })
  const { address } = pod
  const empty = { bytes: pod.residentBytes(), cpu: pod.cpuSeconds() }
  const streams = bench.subscribe({ address, number: connections, tokens, opening: 512, forever: true })
  await streams.line('open')
  const connectCpuSeconds = (pod.cpuSeconds() - empty.cpu) / connections
  await sleep(bench.seconds(10) * 1_000)
  const residentBytesEach = (pod.residentBytes() - empty.bytes) / connections
  await streams.stop()
  const fan = await fanOut(bench, address, [pod.pid], {
    connections,
    rate,
    seconds: bench.seconds(5),
    subscribe: { tokens },
  })
  await pod.child.stop()
  return {
    connections,
    connectCpuSeconds,
    residentBytesEach,
    deliveryCpuSeconds: (fan.cpu[0] ?? Number.NaN) / (rate * connections),
    eventsPerSecond: rate,
    p99Ms: p99(fan),
    complete: fan.complete,
  }
}

export const growth: Row = {
  name: 'growth',
  work: 'how cost grows: 1,000 to 15,000 connections with a JWT each',
  goal: 'cost per connection and per delivery at 15,000 ≤ 1.5 × that at 2,000',
  how: 'For each size a new gateway. CPU of opening all streams; resident memory 10 s after the last; then CPU over 5 s at 20 events/s of 100 B to all. Compared with 2,000, since the 1,000’s memory is mostly code that the first connections have compiled.',
  run: async (bench) => {
    await bench.nats()
    const sizes: Growth[] = []
    for (const size of [1_000, 2_000, 5_000, 10_000, 15_000])
      sizes.push(await growthAt(bench, bench.many(size)))
    const [second, last] = [sizes[1] as Growth, sizes.at(-1) as Growth]
    return {
      measured: sizes.map(says).join('; '),
      met:
        sizes.every(({ complete }) => complete) &&
        last.connectCpuSeconds <= 1.5 * second.connectCpuSeconds &&
        last.residentBytesEach <= 1.5 * second.residentBytesEach &&
        last.deliveryCpuSeconds <= 1.5 * second.deliveryCpuSeconds,
      figures: { sizes },
    }
  },
}

function says(size: Growth): string {
  const micros = (seconds: number) => `${(seconds * 1e6).toFixed(1)} µs`
  return `${size.connections}: connect ${micros(size.connectCpuSeconds)}, ${kilobytes(size.residentBytesEach)}, delivery ${micros(size.deliveryCpuSeconds)}, p99 ${ms(size.p99Ms)}`
}
