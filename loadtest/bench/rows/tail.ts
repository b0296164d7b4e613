import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '../../../test/support/wait.ts'
import type { PublishReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { cpuSeconds } from '../usage.ts'
import { count, ms, percent } from '../words.ts'

const rate = 50_000

export const tail: Row = {
  name: 'tail',
  work: 'tail alone, no subscribers, 50,000 events/s of 200 B',
  goal: 'keeps up, ≤ 60 % of the core',
  how: 'CPU of the gateway over the window, 1 s after the first event; keeps up: it has read the last event within 250 ms of its acknowledgement. Ends without verdict when JetStream, on core 1 with the generator, does not reach 95 % of the rate.',
  run: async (bench) => {
    const seconds = bench.seconds(8)
    const work = { rate, size: 200, window: 20_000, count: Math.round(rate * (seconds + 1.5)) }
    // What JetStream takes to store alone, and with one reader.
    const alone = await bench.nats()
    const maker = await bench.gateway()
    await maker.child.stop()
    const storedOnly = await bench.publish(work).result<PublishReport>()
    const storeSeconds = cpuSeconds(alone.pid) / storedOnly.stored
    const nats = await bench.nats()
    const pod = await bench.gateway()
    const publisher = bench.publish(work)
    await sleep(1_000)
    const before = pod.cpuSeconds()
    const began = performance.now()
    await sleep(seconds * 1_000)
    const cpu = (pod.cpuSeconds() - before) / ((performance.now() - began) / 1_000)
    const report = await publisher.result<PublishReport>()
    const natsSeconds = cpuSeconds(nats.pid) / report.stored
    const stored = performance.now()
    await waitUntil(async () => (await pod.metric('sse_tail_position')) >= report.stored, {
      what: 'the tail to catch up',
      timeoutMs: 60_000,
      intervalMs: 10,
    })
    const behindMs = performance.now() - stored
    const fedFastEnough = report.perSecond >= rate * 0.95
    return {
      measured: `${count(report.perSecond)}/s, CPU ${percent(cpu)}, caught up ${ms(behindMs)} after the last`,
      met: fedFastEnough ? behindMs <= 250 && cpu <= 0.6 && report.errors === 0 : undefined,
      figures: {
        cpu,
        behindMs,
        publisher: report,
        natsSeconds: { store: storeSeconds, withReader: natsSeconds },
      },
    }
  },
}
