import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from '../bench/machine.ts'

/** What one program saw; latencies in milliseconds. */
export interface Seen {
  events: number
  p50: number
  p99: number
}

/** k6 beside another program on the same events. */
export interface Comparison {
  rate: number
  connections: number
  /** k6's own verdict: no event lost, twice or out of order. */
  passed: boolean
  k6: Seen
  other: Seen
  /** Events that k6 follows with a second of one core, its publisher's work in it. */
  eventsPerCoreSecond: number
  bytesPerConnection: number
}

const tolerance = 0.05
const goals = { bytesPerConnection: 32 * 1024, eventsPerCoreSecond: 300_000 }
/** From this rate on a gateway of 5,000 clients writes several events at once. */
const joinedRate = 200

const differences = ({ k6, other }: Comparison) =>
  (['events', 'p50', 'p99'] as const).map((figure) => k6[figure] / other[figure] - 1)

/** The goals of k6: agreement within 5 %, memory, and the rate where events come joined. */
export function holds(it: Comparison): boolean {
  return (
    it.passed &&
    differences(it).every((difference) => Math.abs(difference) <= tolerance) &&
    it.bytesPerConnection <= goals.bytesPerConnection &&
    (it.rate < joinedRate || it.eventsPerCoreSecond >= goals.eventsPerCoreSecond)
  )
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US')
const ms = (value: number) => `${Number(value.toPrecision(3))} ms`
const kilobytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`

function cells(it: Comparison): string[] {
  const [events, p50, p99] = differences(it).map((value) => `${(value * 100).toFixed(1)} %`)
  return [
    `${it.rate}/s`,
    `${whole(it.k6.events)} and ${whole(it.other.events)} (${events})`,
    `${ms(it.k6.p50)} and ${ms(it.other.p50)} (${p50})`,
    `${ms(it.k6.p99)} and ${ms(it.other.p99)} (${p99})`,
    whole(it.eventsPerCoreSecond),
    kilobytes(it.bytesPerConnection),
    holds(it) ? 'met' : 'missed',
  ]
}

/** One comparison for the terminal. */
export function line(it: Comparison): string {
  const [rate, events, p50, p99, perSecond, memory, verdict] = cells(it)
  return `${rate}: events ${events}, p50 ${p50}, p99 ${p99}; ${perSecond} events per core-second, ${memory} a connection: ${verdict}`
}

export interface Result {
  date: string
  machine: Machine
  comparisons: Comparison[]
}

/** Writes the result as JSON and Markdown; returns the Markdown file. */
export function write(folder: string, result: Result): string {
  const { date, machine, comparisons } = result
  const file = join(folder, `${date.slice(0, 10)}-k6-agreement`)
  writeFileSync(`${file}.json`, `${JSON.stringify(result, null, 1)}\n`)
  const row = (texts: string[]) => `| ${texts.join(' | ')} |`
  const head = ['published', 'events', 'p50', 'p99', 'k6: events per core-second', 'a connection', 'goals']
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  writeFileSync(
    `${file}.md`,
    `# k6 beside another program, ${date.slice(0, 10)}

- ${machine.processor}, ${machine.cores} cores; Linux ${machine.kernel}; load before the run ${machine.load}; commit ${machine.commit}; ${versions.join(', ')}
- To repeat it: \`SWARM=<program> npx node loadtest/agreement/main.ts\`
- ${machine.pinned ? 'The gateway has core 0; k6, the other program, the publisher and JetStream share core 1.' : 'Processes were not pinned to cores (no taskset).'}

Both follow the same topic of one gateway at the same time, ${whole(comparisons[0]?.connections ?? 0)} connections each, all with a JWT, 100-byte payloads. Figures are k6's and the other program's, with k6's difference.

${[row(head), row(head.map(() => '---')), ...comparisons.map((it) => row(cells(it)))].join('\n')}

Goals: within 5 % of the other program, at most 32 KB a connection beyond k6 with one stream, no event lost, twice or out of order, and 300,000 events per core-second from ${joinedRate} events/s on, where several of them come at once. Events that come alone cost a read of the socket each: the row of ${comparisons[0]?.rate}/s.
`,
  )
  return `${file}.md`
}
