import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import { findTools } from '../../deploy/local/tools.ts'
import { describeMachine } from '../bench/machine.ts'
import { provideK6 } from '../k6-program.ts'
import { hold, type Part, type PartResult } from './part.ts'
import { summary, write } from './report.ts'
import { Rig } from './rig.ts'

/**
 * How many streams this machine holds at once, every one of them checked to the last event:
 *
 *     npx node loadtest/at-scale/main.ts                   all parts, about ten minutes; leave the machine alone
 *     npx node loadtest/at-scale/main.ts --part direct --divide 100 --seconds 20
 *
 * A process here may hold 20,000 descriptors, so several gateways, Nginx workers and k6 processes share the crowd.
 * `--part` replaces one part of the day's result. `--divide` makes all smaller, only to see that they work; the result
 * goes to .run then.
 */
const parts: Part[] = [
  {
    name: 'direct',
    what: 'straight to the gateways, HTTP/1.1',
    ...{ gateways: 5, nginxWorkers: 0, runners: 4, connectionsEach: 17_500, http2: false },
    ...{ ramp: 800, ratePerRunner: 0.5 },
  },
  {
    name: 'nginx-http2',
    what: 'through Nginx with TLS, HTTP/2 with 100 streams a connection',
    ...{ gateways: 2, nginxWorkers: 4, runners: 2, connectionsEach: 10_000, http2: true },
    ...{ ramp: 400, ratePerRunner: 0.5 },
  },
  {
    name: 'nginx-tls',
    what: 'through Nginx with TLS, HTTP/1.1, a connection each',
    ...{ gateways: 2, nginxWorkers: 4, runners: 2, connectionsEach: 10_000, http2: false },
    ...{ ramp: 250, ratePerRunner: 0.5 },
  },
]

const { values } = parseArgs({
  options: {
    part: { type: 'string' },
    divide: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '90' },
  },
})

async function run(): Promise<number> {
  const tools = await findTools()
  const [k6] = (await provideK6((text) => console.log(text))).command([]) as [string]
  const divide = Number(values.divide)
  const machine = await describeMachine(tools)
  machine.versions.k6 = /v([\d.]+)/.exec((await execa(k6, ['version'])).stdout)?.[1] ?? 'unknown'
  delete machine.versions.nchan
  const results: PartResult[] = []
  for (const part of parts.filter(({ name }) => !values.part || values.part.split(',').includes(name))) {
    const rig = new Rig(tools)
    try {
      const smaller = { ...part, connectionsEach: Math.ceil(part.connectionsEach / divide) }
      console.log(`${part.name}: ${smaller.runners * smaller.connectionsEach} streams ${part.what}`)
      const result = await hold(rig, smaller, Number(values.seconds), k6)
      console.log(summary(result))
      results.push({ ...result, date: new Date().toISOString(), commit: machine.commit })
    } finally {
      await rig.stop()
    }
  }
  const folder = join(import.meta.dirname, divide === 1 ? '../results' : '../../.run/at-scale')
  mkdirSync(folder, { recursive: true })
  console.log(`\nresult: ${write(folder, { date: new Date().toISOString(), machine, parts: results })}`)
  return results.length > 0 && results.every(({ passed }) => passed) ? 0 : 1
}

process.exitCode = await run()
