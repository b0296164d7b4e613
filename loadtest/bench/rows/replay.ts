import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from '../bench.ts'
import { faultsOf } from '../fan-out.ts'
import type { PublishReport, SubscribeReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { count, megabytes, ms } from '../words.ts'

const ringBytes = 4 * 2 ** 20
/** More events of 100 B than the ring can hold. */
const ringEvents = 20_000
/** The gateway's defaults. */
const unsentBytes = 64 * 2 ** 20
const sweepBytes = 4 * 16 * 1024

interface MassReplay {
  replayed: SubscribeReport
  calm: SubscribeReport
  busy: SubscribeReport
  memoryBytes: number
}

/** The crowd comes to a new gateway; `nice` gives it less priority than those who measure. */
async function massReplay(bench: Bench, nice: boolean): Promise<MassReplay> {
  const number = bench.many(1_000)
  const events = bench.many(100_000) + ringEvents
  const pod = await bench.gateway({ RECENT_LOG_BYTES: ringBytes })
  const { address } = pod
  const lastEventId = await pod.position()
  await bench.publish({ count: events }).result<PublishReport>()
  const live = { address, number: bench.many(500), path: '/v1/events?topic=live.0', warm: '500ms' }
  const publisher = bench.publish({ rate: 20, subject: 'live.0', duration: '15m' })
  const calm = await bench.subscribe({ ...live, duration: `${bench.seconds(5)}s` }).result<SubscribeReport>()
  const during = bench.subscribe({ ...live, duration: '15m', forever: true, timeout: '15m' })
  await during.line('measuring')
  const before = pod.residentBytes()
  pod.forgetPeak()
  const crowd = { address, number, lastEventId, first: 1, until: events, reconnect: true, timeout: '10m' }
  const replayed = await (nice
    ? bench.subscribeNicely(crowd)
    : bench.subscribe(crowd)
  ).result<SubscribeReport>()
  const memoryBytes = pod.peakBytes() - before
  await sleep(100)
  await during.stop()
  await publisher.stop()
  const busy = await during.result<SubscribeReport>()
  await pod.child.stop()
  return { replayed, calm, busy, memoryBytes }
}

export const replay: Row = {
  name: 'replay',
  work: '1,000 clients at once, each 100,000 events behind the ring',
  goal: 'all caught up, live clients’ p99 ≤ 2 × before, memory within the setting',
  how: 'A ring of 4 MB (RECENT_LOG_BYTES) and 120,000 events of 100 B in the log; 1,000 connections at once from before the first. 500 live clients on another topic get 20 events/s, measured 5 s before and during the whole replay; the 1,000 run with less priority (nice), so that they don’t take core 1 from JetStream and those who measure. Then the same without nice, where the live clients’ figure holds the wait for core 1 too; the goal is about the first. Memory: the peak less that before the replay, within MAX_UNSENT_BYTES + RECENT_LOG_BYTES + 4 sweeps of REPLAY_PAGE_BYTES.',
  run: async (bench) => {
    await bench.nats()
    const nice = await massReplay(bench, true)
    await bench.nats()
    const plain = await massReplay(bench, false)
    const allowed = unsentBytes + ringBytes + sweepBytes
    const all = ({ replayed, busy }: MassReplay) =>
      replayed.reached === bench.many(1_000) && faultsOf(replayed) === 0 && faultsOf(busy) === 0
    const says = (run: MassReplay) =>
      `${all(run) ? 'all' : `${run.replayed.reached}`} caught up in ${run.replayed.completeSeconds} s (${count(
        run.replayed.events / run.replayed.completeSeconds,
      )}/s); live p99 ${ms(run.calm.latencyMs?.p99)} → ${ms(run.busy.latencyMs?.p99)}; memory + ${megabytes(run.memoryBytes)} of ${megabytes(allowed)}`
    return {
      measured: `${says(nice)}. Without nice: ${says(plain)}`,
      met:
        all(nice) &&
        all(plain) &&
        (nice.busy.latencyMs?.p99 ?? Number.NaN) <= 2 * (nice.calm.latencyMs?.p99 ?? 0) &&
        Math.max(nice.memoryBytes, plain.memoryBytes) <= allowed,
      figures: { nice, plain, allowedBytes: allowed },
    }
  },
}
