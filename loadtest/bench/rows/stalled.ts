import { waitUntil } from '../../../test/support/wait.ts'
import { fanOut } from '../fan-out.ts'
import type { Row } from '../row.ts'
import type { Service } from '../service.ts'
import { megabytes, ms, p99 } from '../words.ts'

const stallTimeoutMs = 5_000

const series = 'sse_connections_closed_total{reason="too-slow"}'

/** Watches for the first stalled reader that is closed. `stop` tells when that was, ms since the watch began. */
function firstTooSlow(pod: Service): { stop: () => Promise<number> } {
  const began = performance.now()
  const stopped = new AbortController()
  const watch = waitUntil(async () => stopped.signal.aborted || (await pod.metric(series)) > 0, {
    what: 'a stalled reader to be closed',
    timeoutMs: 120_000,
    intervalMs: 250,
  }).then(() => (stopped.signal.aborted ? Number.NaN : performance.now() - began))
  return {
    stop: () => {
      stopped.abort()
      return watch
    },
  }
}

export const stalled: Row = {
  name: 'stalled',
  work: '500 readers that never read among 5,000',
  goal: 'the others’ p99 ≤ 1.2 × without them; memory bounded; stalled ones go with reason too-slow after the set time',
  how: '100 events/s of 400 B, twice: 4,500 connections, and the same with 500 more that never read after their first block (receive buffer of 4 KB). STALL_TIMEOUT_MS=5000; memory: the peak of the second run less that of the first, within MAX_UNSENT_BYTES.',
  run: async (bench) => {
    const readers = bench.many(4_500)
    const sleepers = bench.many(500)
    // Long enough that the stalled ones fill their buffers and their time runs out within.
    const work = { rate: 100, size: 400, seconds: bench.quick ? 6 : 12, copies: readers }
    await bench.nats()
    const first = await bench.gateway({ STALL_TIMEOUT_MS: stallTimeoutMs })
    const without = await fanOut(bench, first.address, [first.pid], { ...work, connections: readers })
    const peakWithout = first.peakBytes()
    await first.child.stop()
    const pod = await bench.gateway({ STALL_TIMEOUT_MS: stallTimeoutMs, WARM_EVENTS: 0 })
    const watched = firstTooSlow(pod)
    const withThem = await fanOut(bench, pod.address, [pod.pid], {
      ...work,
      connections: readers + sleepers,
      // They stay until their time has run out.
      subscribe: { stalled: sleepers, linger: `${(2 * stallTimeoutMs) / 1_000}s` },
    })
    await waitUntil(async () => (await pod.metric(series)) >= sleepers, {
      what: 'stalled readers to be closed',
      timeoutMs: stallTimeoutMs,
    }).catch(() => undefined)
    const tooSlow = await pod.metric(series)
    const firstMs = await watched.stop()
    const more = pod.peakBytes() - peakWithout
    return {
      measured: `p99 ${ms(p99(without))} → ${ms(p99(withThem))}; ${tooSlow} of ${sleepers} too-slow, the first ${ms(firstMs)} after the first connect; memory + ${megabytes(more)}`,
      met:
        without.complete &&
        withThem.complete &&
        p99(withThem) <= 1.2 * p99(without) &&
        tooSlow === sleepers &&
        firstMs >= stallTimeoutMs &&
        more <= 64 * 2 ** 20,
      figures: { without, with: withThem, tooSlow, firstMs, memoryBytes: more },
    }
  },
}
