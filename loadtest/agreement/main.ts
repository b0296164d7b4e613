import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import { findTools } from '../../deploy/local/tools.ts'
import { Rig } from '../at-scale/rig.ts'
import { describeMachine } from '../bench/machine.ts'
import { provideK6 } from '../k6-program.ts'
import { compare, emptyBytes } from './compare.ts'
import { type Comparison, holds, line, write } from './report.ts'

/**
 * Does k6 with the extension see what another program sees, and what does it cost? Both follow the same topic of the
 * same gateway at the same time, 2,500 connections each; the other one is any program with the options of
 * `make bench SWARM=…`:
 *
 *     SWARM=<program> npx node loadtest/agreement/main.ts          two minutes; leave the machine alone
 *     SWARM=<program> npx node loadtest/agreement/main.ts --divide 10    only to see that it works; into .run
 */
const rates = [10, 200, 800]

const { values } = parseArgs({ options: { divide: { type: 'string', default: '1' } } })

async function run(): Promise<number> {
  const swarm = process.env.SWARM
  if (!swarm) {
    console.error(
      'SWARM names the other program: one that takes --port --conns --ramp --warm --duration --path',
    )
    return 2
  }
  const tools = await findTools()
  const [k6] = (await provideK6((text) => console.log(text))).command([]) as [string]
  const machine = await describeMachine(tools)
  machine.versions = { k6: /v([\d.]+)/.exec((await execa(k6, ['version'])).stdout)?.[1] ?? 'unknown' }
  const connections = Math.ceil(2_500 / Number(values.divide))
  const rig = new Rig(tools)
  const comparisons: Comparison[] = []
  try {
    await rig.start(1, connections * 2 + 100)
    const empty = await emptyBytes(rig, k6)
    for (const rate of rates) {
      const comparison = await compare(rig, { k6, swarm, rate, connections, emptyBytes: empty })
      console.log(line(comparison))
      comparisons.push(comparison)
    }
  } finally {
    await rig.stop()
  }
  const folder = join(import.meta.dirname, values.divide === '1' ? '../results' : '../../.run/agreement')
  mkdirSync(folder, { recursive: true })
  const result = { date: new Date().toISOString(), machine, comparisons }
  console.log(`result: ${write(folder, result)}`)
  return comparisons.every(holds) ? 0 : 1
}

process.exitCode = await run()
