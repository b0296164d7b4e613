import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type K6Program, provideK6 } from '../../loadtest/k6-program.ts'
import { WebCluster } from '../support/web-cluster.ts'

const root = join(import.meta.dirname, '../..')
const k6: K6Program | string = await provideK6((text) => console.log(text)).catch(
  (error: Error) => error.message,
)
const skipped = typeof k6 === 'string' ? ` (skipped: ${k6})` : ''

interface Verdict {
  metric: string
  bound: string
  ok: boolean
}

interface Run {
  passed: boolean
  output: string
  failed: string[]
  metrics: Record<string, Record<string, number>>
  swarms: { events: number; reconnects: number; open: number }[]
  page: string
}

describe.skipIf(typeof k6 === 'string')(`load tests against a small cluster${skipped}`, () => {
  let cluster: WebCluster
  let reports: string

  beforeAll(async () => {
    reports = await mkdtemp(join(tmpdir(), 'sse-cluster-load-'))
    cluster = await WebCluster.start()
  })

  afterAll(async () => {
    await cluster?.stop()
    await rm(reports, { recursive: true, force: true })
  })

  /** Runs a scenario in a short form; bounds on time are wide, since this is not about speed. */
  async function load(scenario: string, settings: Record<string, string | number>, url = cluster.url) {
    const [command, ...first] = (k6 as K6Program).command as [string, ...string[]]
    const env = {
      ...{ BASE_URL: url, CONNECTIONS: 50, TOPICS: 20, RATE: 20, DURATION: '2s', P99_MS: 60_000 },
      ...{ CONNECT_P99_MS: 60_000, REPORT_DIR: reports, REPORT_NAME: scenario, ...settings },
    }
    const result = await execa(
      command,
      [
        ...[...first, 'run', '--no-usage-report', '--quiet', '--address=127.0.0.1:0'],
        ...Object.entries(env).flatMap(([name, value]) => ['-e', `${name}=${value}`]),
        `loadtest/scenarios/${scenario}.ts`,
      ],
      {
        cwd: root,
        env: { K6_AUTO_EXTENSION_RESOLUTION: 'false' },
        reject: false,
        all: true,
        timeout: 200_000,
      },
    )
    const output = String(result.all)
    const text = await readFile(join(reports, `${scenario}.json`), 'utf8').catch(() => {
      throw new Error(`k6 left no summary:\n${output}`)
    })
    const summary = JSON.parse(text) as Run & { verdicts: Verdict[] }
    expect(result.exitCode === 0, output).toBe(summary.passed)
    return {
      ...summary,
      output,
      failed: summary.verdicts.filter(({ ok }) => !ok).map(({ metric, bound }) => `${metric} ${bound}`),
      page: await readFile(join(reports, `${scenario}.html`), 'utf8'),
    }
  }

  const shortForms: [string, Record<string, string | number>][] = [
    ['smoke', {}],
    ['connections', {}],
    ['fanout', {}],
    ['many-topics', {}],
    ['reconnect-storm', { STORMS: 2, CALM: '1s', RETURN_WITHIN: '500ms' }],
    ['slow-readers', {}],
    ['soak', { CUT_EVERY: '500ms', CUT_SHARE: 0.2 }],
    ['breakpoint', { STEPS: 2, STEP_DURATION: '1s' }],
    ['mixed', { CONNECTIONS: 100 }],
  ]

  it.each(shortForms)(
    '%s passes, and leaves a report that needs nothing else',
    async (scenario, settings) => {
      const run = await load(scenario, settings)
      expect(run.failed, run.output).toEqual([])
      expect(run.swarms.reduce((sum, swarm) => sum + swarm.events, 0)).toBeGreaterThan(0)
      expect(run.page).toContain('<svg')
      expect(run.page).not.toMatch(/(src|href)=/)
    },
  )

  it('rolling-deploy passes while gateways are replaced, and says when there was no deploy', async () => {
    const deploy = (async () => {
      for (const index of [0, 1] as const) {
        await cluster.untilServing(index, 25).catch(() => {})
        await cluster.gateways[index]?.term()
        await cluster.startGateway(index)
      }
    })()
    const run = await load('rolling-deploy', { DURATION: '20s' })
    await deploy
    expect(run.failed, run.output).toEqual([])
    expect(run.swarms[0]?.reconnects).toBeGreaterThanOrEqual(25)
    const quiet = await load('rolling-deploy', { DURATION: '1s' })
    expect(quiet.failed).toEqual(['checks rate==1'])
  })

  it('a gateway that drops every 1,000th event fails the run as lost', async () => {
    const faulty = await WebCluster.start({ gatewaySettings: defect({ DEFECT_DROP_EVERY: 1000 }) })
    try {
      const run = await load('fanout', { RATE: 600, CONNECTIONS: 10 }, faulty.url)
      expect(run.failed).toEqual(['sse_lost count==0'])
      // One event is missing on each of the streams.
      expect(run.metrics.sse_lost?.count, run.output).toBe(10)
      expect(run.metrics.sse_duplicated?.count).toBe(0)
    } finally {
      await faulty.stop()
    }
  })

  it('a gateway that repeats an event after a reconnect fails the run as duplicated', async () => {
    const faulty = await WebCluster.start({ gatewaySettings: defect({ DEFECT_REPEAT: 1 }) })
    try {
      const settings = { STORMS: 1, CALM: '1s', RETURN_WITHIN: '200ms', CONNECTIONS: 20 }
      const run = await load('reconnect-storm', settings, faulty.url)
      expect(run.failed, run.output).toEqual(['sse_duplicated count==0'])
      expect(run.metrics.sse_lost?.count).toBe(0)
    } finally {
      await faulty.stop()
    }
  })
})

function defect(settings: Record<string, number>): Record<string, string | number> {
  return { NODE_OPTIONS: `--import=${new URL('../support/defects.ts', import.meta.url).href}`, ...settings }
}
