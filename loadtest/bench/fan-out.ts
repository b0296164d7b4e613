import type { Bench } from './bench.ts'
import type { Child } from './child.ts'
import type { PublishReport, SubscribeReport } from './generator.ts'
import { cpuSeconds } from './usage.ts'

export interface FanOut {
  connections: number
  /** Events per second over all topics. */
  rate: number
  topics?: number
  /** Bytes of padding per event. */
  size?: number
  seconds: number
  /** More options of `generator subscribe`, and of `generator publish`. */
  subscribe?: Record<string, string | number | boolean>
  publish?: Record<string, string | number | boolean>
  /** Streams that get each event, on average; every connection unless told. */
  copies?: number
}

export interface FanOutResult {
  subscribers: SubscribeReport
  publisher: PublishReport | undefined
  /** Seconds of CPU per second, of each process that was asked for. */
  cpu: number[]
  /** Every event that was stored came to every subscriber of it, once and in order. */
  complete: boolean
  expected: number
}

/** From the first event until the measured window. */
const warmSeconds = 1.5

/** Connections first, then events at a set rate, then the window; it ends when everything has arrived. */
export async function fanOut(
  bench: Bench,
  address: string,
  pids: number[],
  work: FanOut,
): Promise<FanOutResult> {
  const { rate, topics = 1, connections, copies = connections } = work
  // A whole number for every topic, so that all end at the same number.
  const count = Math.ceil((rate * (warmSeconds + work.seconds + 0.5)) / topics) * topics
  const expected = Math.round(count * copies)
  const subscribers = bench.subscribe({
    address,
    number: connections,
    topics,
    opening: 512,
    first: 1,
    warm: `${warmSeconds}s`,
    duration: `${work.seconds}s`,
    untilEvents: expected,
    // What takes three times as long has failed.
    timeout: `${Math.ceil((warmSeconds + work.seconds) * 3 + 60)}s`,
    ...work.subscribe,
  })
  await subscribers.line('open')
  const publisher = bench.publish({ rate, topics, count, size: work.size, ...work.publish })
  const cpu = await cpuOfWindow(subscribers, pids, work.seconds)
  const report = await subscribers.result<SubscribeReport>()
  const published = await publisher.result<PublishReport>()
  const complete =
    published.stored === count &&
    report.events === expected &&
    report.lowestLast === count / topics &&
    report.highestLast === count / topics &&
    faultsOf(report) === 0
  return { subscribers: report, publisher: published, cpu, complete, expected }
}

/** The same against a peer, which may fall behind for ever: it ends with the window. */
export async function peerFanOut(
  bench: Bench,
  peer: { address: string; pid: number },
  work: FanOut,
  publish?: Record<string, string | number | boolean>,
): Promise<FanOutResult> {
  const { topics = 1 } = work
  const subscribers = bench.subscribe({
    address: peer.address,
    number: work.connections,
    topics,
    opening: 512,
    path: '/subscribe/bench.%d',
    warm: `${warmSeconds}s`,
    duration: `${work.seconds}s`,
    timeout: `${Math.ceil((warmSeconds + work.seconds) * 3 + 30)}s`,
  })
  await subscribers.line('open')
  const publisher =
    publish &&
    bench.publish({ rate: work.rate, topics, size: work.size, duration: '10m', raw: true, ...publish })
  const cpu = await cpuOfWindow(subscribers, [peer.pid], work.seconds)
  const report = await subscribers.result<SubscribeReport>()
  await publisher?.stop()
  return { subscribers: report, publisher: undefined, cpu, complete: faultsOf(report) === 0, expected: 0 }
}

/** Numbers and ids that are wrong in any way. */
export function faultsOf(report: SubscribeReport): number {
  return report.lost + report.duplicated + report.outOfOrder + report.idsOutOfOrder
}

async function cpuOfWindow(subscribers: Child, pids: number[], seconds: number): Promise<number[]> {
  try {
    await subscribers.line('measuring')
    const before = pids.map(cpuSeconds)
    const began = performance.now()
    await Promise.race([subscribers.line('measured'), subscribers.line('complete')])
    const elapsed = Math.max((performance.now() - began) / 1000, seconds / 10)
    return pids.map((pid, index) => (cpuSeconds(pid) - (before[index] as number)) / elapsed)
  } catch {
    // It ended without a window; its report says what it had.
    return pids.map(() => Number.NaN)
  }
}
