import { join } from 'node:path'
import { execa } from 'execa'
import { findTools } from '../../deploy/local/tools.ts'
import { Bench } from './bench.ts'
import { canPin } from './child.ts'
import { buildGenerator } from './generator.ts'
import { describeMachine } from './machine.ts'
import { type RowResult, rowResult, table, verdict, writeRun } from './report.ts'
import type { Row } from './row.ts'
import { rows } from './rows.ts'

// `make bench` measures the table of goals, row by row. Settings: ROW=fanout-200,idle (default: all), NAME=… for the
// results' file, QUICK=1 to see only that the rows work, RESULTS_DIR=… to write elsewhere.

const { ROW, NAME, QUICK, RESULTS_DIR } = process.env
const quick = QUICK === '1'
const root = join(import.meta.dirname, '../..')
// A quick run is no result.
const folder = RESULTS_DIR || join(root, quick ? '.run/bench' : 'loadtest/results')

function wantedRows(): Row[] {
  const names = (ROW ?? '').split(',').filter((name) => name !== '')
  const unknown = names.filter((name) => !rows.some((row) => row.name === name))
  if (unknown.length > 0) {
    throw new Error(`No row ${unknown.join(', ')}. Rows: ${rows.map(({ name }) => name).join(', ')}`)
  }
  return names.length === 0 ? rows : rows.filter(({ name }) => names.includes(name))
}

/** A row that breaks does not end the run: the others still count. */
async function measure(row: Row, bench: Bench): Promise<RowResult> {
  const began = performance.now()
  const seconds = () => Math.round((performance.now() - began) / 1_000)
  try {
    const outcome = await row.run(bench)
    return rowResult(row, outcome, seconds())
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const outcome = { measured: '', met: false, figures: {} }
    return { ...rowResult(row, outcome, seconds()), error: message.replaceAll('\n', ' ').slice(0, 500) }
  } finally {
    await bench.close()
  }
}

async function main(): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('make bench needs Linux: it reads CPU and memory from /proc.')
  const wanted = wantedRows()
  const tools = await findTools()
  const generator = await buildGenerator()
  const machine = await describeMachine(tools)
  // This process itself must not disturb the core that is measured.
  if (canPin) await execa('taskset', ['-acp', '1', String(process.pid)], { reject: false })
  console.log(`${machine.processor}, ${machine.cores} cores, commit ${machine.commit}, load ${machine.load}`)
  if (!quick && machine.load > 0.5)
    console.log('Others are at work on this machine: the figures will be worse than they are.')
  const results: RowResult[] = []
  for (const row of wanted) {
    process.stdout.write(`${row.name}: `)
    const result = await measure(row, new Bench(tools, generator, quick))
    results.push(result)
    console.log(`${result.error ?? result.measured} [${verdict(result)}, ${result.seconds} s]`)
  }
  console.log(`\n${table(results)}\n`)
  const some = wanted.length > 3 ? `${wanted.length}-rows` : wanted.map((row) => row.name).join('-')
  const name = NAME || (wanted.length === rows.length ? 'all' : some)
  const run = { name, date: new Date().toISOString(), quick, machine, rows: results }
  console.log(`Written to ${writeRun(folder, run)}`)
  if (results.some((result) => verdict(result) === 'failed')) process.exitCode = 1
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
