import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from './machine.ts'
import type { Outcome, Row } from './row.ts'

export interface RowResult extends Outcome {
  name: string
  work: string
  goal: string
  how: string
  seconds: number
  /** Set when the row could not be run to its end. */
  error?: string
}

export interface Run {
  name: string
  date: string
  quick: boolean
  machine: Machine
  rows: RowResult[]
}

export type Verdict = 'met' | 'missed' | 'open' | 'failed'

export function verdict(row: Pick<RowResult, 'met' | 'error'>): Verdict {
  if (row.error !== undefined) return 'failed'
  return row.met === undefined ? 'open' : row.met ? 'met' : 'missed'
}

export function rowResult(row: Row, outcome: Outcome, seconds: number): RowResult {
  const { name, work, goal, how } = row
  return { name, work, goal, how, seconds, ...outcome }
}

/** The table of goals with what was measured. */
export function table(rows: RowResult[]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [
    line(['row', 'work', 'goal', 'measured', 'nchan', 'limit', 'verdict']),
    line(Array(7).fill('---')),
    ...rows.map((row) =>
      line([
        row.name,
        row.work,
        row.goal,
        row.error ?? row.measured,
        row.peer ?? '–',
        row.limit ?? '–',
        verdict(row),
      ]),
    ),
  ].join('\n')
}

function markdown(run: Run): string {
  const { machine } = run
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`)
  return `# Benchmark ${run.name}, ${run.date.slice(0, 10)}

${run.quick ? '**A quick run: only to see that everything works. The figures mean nothing.**\n\n' : ''}\
- Commit ${machine.commit}; ${run.date}
- ${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GB; Linux ${machine.kernel}; load before the run ${machine.load}
- ${versions.join(', ')}
- ${
    machine.pinned
      ? 'The server under measurement alone on core 0; load generator, publisher and JetStream on core 1.'
      : 'Processes were not pinned to cores (no taskset).'
  }
- nchan and the limit (a bare loop of write()) ran in the same run, one after the other. Compare ratios, not figures of two machines.

${table(run.rows)}

## How each row is measured

${run.rows.map((row) => `- **${row.name}**: ${row.how}`).join('\n')}
`
}

/** Writes the run as JSON and Markdown, and the index of all runs. Returns the Markdown file. */
export function writeRun(folder: string, run: Run): string {
  mkdirSync(folder, { recursive: true })
  const wanted = `${run.date.slice(0, 10)}-${run.name}`
  let name = wanted
  for (let i = 2; existsSync(join(folder, `${name}.json`)); i++) name = `${wanted}-${i}`
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(run, null, 2)}\n`)
  writeFileSync(join(folder, `${name}.md`), markdown(run))
  writeFileSync(join(folder, 'README.md'), index(folder))
  return join(folder, `${name}.md`)
}

/** For each row the newest result, and a list of all runs. */
function index(folder: string): string {
  const runs = readdirSync(folder)
    .filter((file) => /^\d{4}-\d\d-\d\d-.*\.json$/.test(file))
    .map((file) => ({ file, run: JSON.parse(readFileSync(join(folder, file), 'utf8')) as Run }))
    .filter(({ run }) => Array.isArray(run.rows) && run.machine !== undefined)
    .sort((a, b) => a.run.date.localeCompare(b.run.date))
  const newest = new Map<string, RowResult & { file: string }>()
  for (const { file, run } of runs) for (const row of run.rows) newest.set(row.name, { ...row, file })
  const shown = [...newest.values()].map((row) => ({
    ...row,
    name: `[${row.name}](${row.file.replace(/json$/, 'md')})`,
  }))
  const list = runs.toReversed().map(({ file, run }) => {
    const name = file.replace(/\.json$/, '')
    const met = run.rows.filter((row) => verdict(row) === 'met').length
    return `- [${name}](${name}.md): ${met} of ${run.rows.length} met, commit ${run.machine.commit}${run.quick ? ', quick' : ''}`
  })
  return `# Results of \`make bench\`

<!-- Written by \`make bench\`. -->

The newest result of each row; the link leads to its run, with the machine, the versions and how it was measured.

${table(shown)}

## Runs

${list.join('\n')}
`
}
