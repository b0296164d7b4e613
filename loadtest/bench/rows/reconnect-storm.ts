import { join } from 'node:path'
import { faultsOf } from '../fan-out.ts'
import type { PublishReport, SubscribeReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { makeToken, tokenSettings, writeTokens } from '../tokens.ts'
import { megabytes } from '../words.ts'

const behind = 500

export const reconnectStorm: Row = {
  name: 'reconnect-storm',
  work: 'reconnect storm: 10,000 clients at once, each 500 events behind, in the recent log',
  goal: 'all caught up in ≤ 10 s, resident memory + ≤ 64 MB',
  how: '500 events of 100 B; then 10,000 connections at once, each with a JWT that the gateway has not seen, with Last-Event-ID before the first. Time from the first connect() until the last client has the last event; memory: the peak less what the pod without connections had.',
  run: async (bench) => {
    const number = bench.many(10_000)
    await bench.nats()
    const pod = await bench.gateway(tokenSettings)
    const { address } = pod
    const tokens = writeTokens(join(bench.folder, 'tokens'), number)
    const lastEventId = await pod.position(makeToken('first'))
    await bench.publish({ count: behind }).result<PublishReport>()
    const before = pod.residentBytes()
    pod.forgetPeak()
    const cpuBefore = pod.cpuSeconds()
    const report = await bench
      .subscribe({
        address,
        number,
        tokens,
        lastEventId,
        first: 1,
        until: behind,
        reconnect: true,
        timeout: '60s',
      })
      .result<SubscribeReport>()
    const cpuSeconds = pod.cpuSeconds() - cpuBefore
    const more = pod.peakBytes() - before
    const all = report.reached === number && report.events === number * behind && faultsOf(report) === 0
    return {
      measured: `${all ? 'all' : `${report.reached} of ${number}`} caught up in ${report.completeSeconds} s, memory + ${megabytes(more)}`,
      met: all && report.completeSeconds <= 10 && more <= 64 * 2 ** 20,
      figures: { report, memoryBytes: more, cpuSeconds },
    }
  },
}
