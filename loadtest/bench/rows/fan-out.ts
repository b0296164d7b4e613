import type { Bench } from '../bench.ts'
import { type FanOutResult, fanOut, peerFanOut } from '../fan-out.ts'
import type { Row } from '../row.ts'
import { delivered, p99 } from '../words.ts'

interface Sides {
  gateway: FanOutResult
  nchan: FanOutResult | undefined
  limit: FanOutResult
}

const connections = 5_000

function fanOutRow(
  rate: number,
  goal: string,
  met: (sides: Sides, scale: number) => boolean | undefined,
): Row {
  return {
    name: `fanout-${rate}`,
    work: `${connections.toLocaleString('en-US')} connections, one topic, 100 B, publishing ${rate}/s`,
    goal,
    how: 'Gateway, nchan and the bare write loop one after the other on core 0; generator and JetStream on core 1; window of 6 s, 1.5 s after the first event; then until every event has arrived everywhere.',
    run: async (bench) => {
      const sides = await allSides(bench, rate)
      return {
        measured: delivered(sides.gateway),
        peer: sides.nchan && delivered(sides.nchan),
        limit: delivered(sides.limit),
        met: met(sides, bench.many(connections) / connections),
        figures: { ...sides },
      }
    },
  }
}

async function allSides(bench: Bench, rate: number): Promise<Sides> {
  const work = { connections: bench.many(connections), rate, size: 100, seconds: bench.seconds(6) }
  await bench.nats()
  const pod = await bench.gateway()
  const gateway = await fanOut(bench, pod.address, [pod.pid], work)
  await pod.child.stop()
  const nchan = await bench.nchan()
  const ofNchan =
    nchan && (await peerFanOut(bench, nchan, work, { http: `${nchan.address}/publish/bench.%d` }))
  await nchan?.child.stop()
  const limit = await bench.limit({ rate, size: 100, after: work.connections })
  const ofLimit = await peerFanOut(bench, limit, work)
  await limit.child.stop()
  return { gateway, nchan: ofNchan, limit: ofLimit }
}

const reaches =
  (perSecond: number, latencyMs: number) =>
  ({ gateway }: Sides, scale: number) =>
    gateway.complete &&
    gateway.subscribers.eventsPerSecond >= perSecond * scale * 0.99 &&
    p99(gateway) <= latencyMs

export const fanOutRows: Row[] = [
  fanOutRow(
    10,
    'p99 no higher than nchan’s; CPU within 1.4 × of the limit',
    ({ gateway, nchan, limit }) =>
      nchan &&
      gateway.complete &&
      p99(gateway) <= p99(nchan) &&
      (gateway.cpu[0] as number) <= 1.4 * (limit.cpu[0] as number),
  ),
  fanOutRow(200, '1,000,000 deliveries/s, all delivered, p99 ≤ 150 ms', reaches(1_000_000, 150)),
  fanOutRow(800, '≥ 3,000,000 deliveries/s, p99 ≤ 350 ms', reaches(3_000_000, 350)),
]
