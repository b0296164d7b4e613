import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from '../bench/machine.ts'
import type { PartResult, Usage } from './part.ts'

export interface Result {
  date: string
  machine: Machine
  parts: PartResult[]
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US')
const megabytes = (bytes: number) => `${whole(bytes / 2 ** 20)} MB`
const kilobytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`

/** A few lines for the terminal. */
export function summary(part: Omit<PartResult, 'date' | 'commit'>): string {
  const [crowd] = part.crowd
  return [
    `  ${part.passed ? 'PASSED' : 'FAILED'}: ${whole(part.held.least)} to ${whole(part.held.most)} streams for ${whole(part.held.seconds)} s, open after ${whole(part.openingSeconds)} s`,
    `  ${whole(crowd?.events ?? 0)} deliveries, ${crowd?.lost} lost, ${crowd?.duplicated} duplicated, p50 ${crowd?.latencyMs.p50} ms, p99 ${crowd?.latencyMs.p99} ms`,
    ...Object.entries(part.usage).map(([kind, usage]) => `  ${kind}: ${used(usage)}`),
    ...part.verdicts.filter(({ ok }) => !ok).map((it) => `  ✗ ${it.metric} ${it.bound} (${it.value})`),
  ].join('\n')
}

const used = ({ processes, cores, residentBytes }: Usage) =>
  `${processes} × ${(cores / processes).toFixed(3)} cores, ${megabytes(residentBytes)} in all`

/** Writes the result as JSON and Markdown, with the day's other parts; returns the Markdown file. */
export function write(folder: string, fresh: Result): string {
  const name = `${fresh.date.slice(0, 10)}-at-scale`
  const file = join(folder, `${name}.json`)
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Result).parts : []
  const byName = new Map([...before, ...fresh.parts].map((part) => [part.name, part]))
  const result = { ...fresh, parts: [...byName.values()] }
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`)
  writeFileSync(join(folder, `${name}.md`), markdown(result))
  return join(folder, `${name}.md`)
}

function markdown({ date, machine, parts }: Result): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  return `# At scale, ${date.slice(0, 10)}

- ${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GB; Linux ${machine.kernel}; load before the run ${machine.load}
- ${versions.join(', ')}
- To repeat it: \`npx node loadtest/at-scale/main.ts\`
- ${machine.pinned ? 'Gateways and Nginx share core 0; k6, the publisher and JetStream share core 1.' : 'Processes were not pinned to cores (no taskset).'}

Every stream has a JWT of its own and is checked event by event, to the last one; bounds and percentiles are over all k6 processes together. Each k6 process publishes on a topic of its own, and each event goes to all clients of that process at once, so a latency is mostly an event's wait for its turn among them.

${parts.map(section).join('\n')}`
}

function section(part: PartResult): string {
  const crowd = part.crowd[0] as PartResult['crowd'][0]
  const line = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`
  const { p50, p99, p999, max } = crowd.latencyMs
  const ms = (value: number | undefined) => (value === undefined ? '–' : `${Number(value.toPrecision(3))} ms`)
  return `## ${whole(part.connections)} streams ${part.what}: ${part.passed ? 'passed' : 'failed'}

Commit ${part.commit}; ${part.date}

${line(['', ''])}
${line(['---', '---'])}
${line(['held', `${whole(part.held.least)} at least, ${whole(part.held.most)} at most (counted by the gateways each second for ${whole(part.held.seconds)} s)`])}
${line(['opened', `${whole(part.connections / part.openingSeconds)} a second, with at most ${whole(part.ramp)} asked for`])}
${line(['delivered', `${whole(crowd.events)} events: ${crowd.lost} lost, ${crowd.duplicated} duplicated, ${crowd.outOfOrder} out of order, ${crowd.reconnects} reconnects`])}
${line(['rate', `${part.runners * part.ratePerRunner} events/s, ${whole(part.ratePerRunner * part.connections)} deliveries/s`])}
${line(['latency', `p50 ${ms(p50)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}, max ${ms(max)}`])}
${line(['memory of the kernel', `${megabytes(part.kernelBytes)} for sockets on both sides: ${kilobytes(part.kernelBytes / part.connections)} a stream; ${megabytes(part.bufferBytes)} in their buffers`])}

${line(['', 'processes', 'CPU, opening a stream', 'CPU, holding all', 'resident memory', 'empty', 'a stream'])}
${line(['---', '---', '---', '---', '---', '---', '---'])}
${Object.entries(part.usage)
  .map(([kind, usage]) =>
    line([
      kind,
      usage.processes,
      `${((usage.openingSeconds / part.connections) * 1e6).toFixed(0)} µs`,
      `${(usage.cores * 100).toFixed(1)} % of a core`,
      megabytes(usage.residentBytes),
      kind === 'gateway' || kind === 'nginx' ? megabytes(usage.emptyBytes) : '–',
      ['gateway', 'nginx', 'k6'].includes(kind)
        ? kilobytes((usage.residentBytes - usage.emptyBytes) / part.connections)
        : '–',
    ]),
  )
  .join('\n')}

${part.verdicts.map(({ ok, metric, bound, value }) => `- ${ok ? '✓' : '✗'} \`${metric}\` ${bound}: ${value}`).join('\n')}
`
}
