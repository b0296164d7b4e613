import type { Bench } from '../bench.ts'
import type { PublishReport } from '../generator.ts'
import type { Row } from '../row.ts'
import { makeToken, tokenSettings } from '../tokens.ts'
import { count, ms, percent } from '../words.ts'

interface Publishing {
  report: PublishReport
  /** Seconds of CPU per second. */
  cpu: number
}

async function publishing(
  bench: Bench,
  path: string,
  values: Record<string, string | number>,
): Promise<Publishing> {
  const service = await bench.service('publisher', tokenSettings)
  const duration = `${bench.seconds(6)}s`
  const http = `${service.address}${path}`
  const publish = async (more: Record<string, string | number>) =>
    await bench.publish({ http, token: makeToken('publisher'), ...values, ...more }).result<PublishReport>()
  // Compiled and connected.
  await publish({ duration: '1s' })
  const before = service.cpuSeconds()
  const report = await publish({ duration })
  const cpu = (service.cpuSeconds() - before) / report.seconds
  await service.child.stop()
  return { report, cpu }
}

const says = ({ report, cpu }: Publishing) =>
  `${count(report.perSecond)}/s, acknowledged p99 ${ms(report.acknowledgedMs?.p99)}, CPU ${percent(cpu)}${
    report.errors ? `, ${report.errors} errors: ${report.lastError}` : ''
  }`

export const publishSingle: Row = {
  name: 'publish-single',
  work: 'publisher: single POSTs over keep-alive, R1 file storage',
  goal: '≥ 8,000/s on one core',
  how: '64 connections, one event of 100 B a request, with a token, each answered after JetStream’s acknowledgement; publisher on core 0.',
  run: async (bench) => {
    await bench.nats()
    const single = await publishing(bench, '/v1/events', { workers: 64 })
    return {
      measured: says(single),
      met: single.report.perSecond >= 8_000 && single.report.errors === 0,
      figures: { single },
    }
  },
}

export const publishNdjson: Row = {
  name: 'publish-ndjson',
  work: 'publisher: NDJSON, R1 file storage',
  goal: '≥ 40,000 events/s',
  how: '4 connections, 1,000 events of 100 B a request, every line’s result checked; publisher on core 0. With and without ?atomic=true (which JetStream acknowledges as a whole); the goal is about the better.',
  run: async (bench) => {
    await bench.nats()
    const shape = { workers: 4, lines: 1_000 }
    const each = await publishing(bench, '/v1/events', shape)
    const atomic = await publishing(bench, '/v1/events?atomic=true', shape)
    const met = [each, atomic].some(({ report }) => report.perSecond >= 40_000 && report.errors === 0)
    return {
      measured: `${says(each)}; atomic: ${says(atomic)}`,
      met,
      figures: { each, atomic },
    }
  },
}
