import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type K6Program, provideK6 } from '../../loadtest/k6-program.ts'
import { summaryInLog } from '../../loadtest/summaries.ts'
import { secret, signToken } from '../support/tokens.ts'
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
  swarms: { connections: number; events: number; reconnects: number; open: number; opened: number }[]
  page: string
}

describe.skipIf(typeof k6 === 'string')(`load tests against a small cluster${skipped}`, () => {
  let cluster: WebCluster
  let reports: string

  beforeAll(async () => {
    // Within what a container sees of the checkout.
    await mkdir(join(root, 'loadtest/reports'), { recursive: true })
    reports = relative(root, await mkdtemp(join(root, 'loadtest/reports/test-')))
    cluster = await WebCluster.start()
  })

  afterAll(async () => {
    await cluster?.stop()
    await rm(join(root, reports), { recursive: true, force: true })
  })

  /** Runs k6 with a scenario in a short form; bounds on time are wide, since this is not about speed. */
  async function runK6(scenario: string, settings: Record<string, string | number>, k6Arguments: string[]) {
    const [command, ...first] = (k6 as K6Program).command([]) as [string, ...string[]]
    const env = {
      ...{ BASE_URL: cluster.url, CONNECTIONS: 50, TOPICS: 20, RATE: 20, DURATION: '2s', P99_MS: 60_000 },
      ...{ CONNECT_P99_MS: 60_000, REPORT_DIR: reports, ...settings },
    }
    return await execa(
      command,
      [
        ...[...first, 'run', '--no-usage-report', '--quiet', '--address=127.0.0.1:0'],
        ...Object.entries(env).flatMap(([key, value]) => ['-e', `${key}=${value}`]),
        ...k6Arguments,
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
  }

  /** Runs a scenario, and reads its report. */
  async function load(
    scenario: string,
    settings: Record<string, string | number>,
    { url = cluster.url, k6Arguments = [] as string[], name = scenario } = {},
  ) {
    const result = await runK6(scenario, { BASE_URL: url, REPORT_NAME: name, ...settings }, k6Arguments)
    const output = String(result.all)
    const text = await readFile(join(root, reports, `${name}.json`), 'utf8').catch(() => {
      throw new Error(`k6 left no summary:\n${output}`)
    })
    const summary = JSON.parse(text) as Run & { verdicts: Verdict[] }
    expect(result.exitCode === 0, output).toBe(summary.passed)
    return {
      ...summary,
      output,
      failed: summary.verdicts.filter(({ ok }) => !ok).map(({ metric, bound }) => `${metric} ${bound}`),
      page: await readFile(join(root, reports, `${name}.html`), 'utf8'),
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

  it('breakpoint breaks where the gateways are full, and reports the last good step', async () => {
    const small = await WebCluster.start({ gatewaySettings: { MAX_CONNECTIONS: 60 } })
    try {
      const steps = {
        STEP_BY: 'connections',
        STEP_FACTOR: 2,
        STEPS: 4,
        STEP_DURATION: '2s',
        OPEN_TIMEOUT: '2s',
      }
      const run = await load('breakpoint', steps, { url: small.url })
      expect(run.failed, run.output).toEqual([])
      expect(run.output).toContain(
        'step 3: 200 clients, 20 events/s: breaks, 80 of its clients are not served',
      )
      expect(run.metrics.breakpoint_connections?.value).toBe(100)
    } finally {
      await small.stop()
    }
  })

  it('a deployment that does not serve everybody fails the run, although what is delivered is whole', async () => {
    const small = await WebCluster.start({ gatewaySettings: { MAX_CONNECTIONS: 60 } })
    try {
      for (const scenario of ['connections', 'fanout']) {
        const run = await load(scenario, { CONNECTIONS: 200, OPEN_TIMEOUT: '2s' }, { url: small.url })
        expect(run.failed.sort(), run.output).toEqual(['checks rate==1', 'sse_turned_away count<=0'])
        expect(run.output).toContain('120 streams open')
        expect(run.swarms[0]).toMatchObject({ open: 120, opened: 120 })
      }
    } finally {
      await small.stop()
    }
  })

  it('connections says so when its events are too few to show that each stream is alive', async () => {
    const { all, exitCode } = await runK6('connections', { TOPICS: 100, RATE: 1 }, [])
    expect(exitCode).not.toBe(0)
    expect(all).toContain('RATE=1 for 2 s is fewer events than TOPICS=100')
  })

  it('each client takes a token of its own from TOKENS_FILE', async () => {
    const strict = await WebCluster.start({
      gatewaySettings: { AUTH_MODE: 'jwt', JWT_SECRET: secret, MAX_CONNECTIONS_PER_SUBJECT: 1 },
    })
    try {
      const tokens = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          signToken(secret, { subject: `client-${i}`, subscribe: ['load.>'] }),
        ),
      )
      const file = join(root, reports, 'tokens.txt')
      await writeFile(file, `${tokens.join('\n')}\n`)
      // Nginx spreads them over two gateways, each of which has room for one stream of a subject.
      const settings = { TOKENS_FILE: file, CONNECTIONS: 20 }
      const run = await load('fanout', settings, { url: strict.url })
      expect(run.failed, run.output).toEqual([])
      const oneForAll = { TOKEN: tokens[0] as string, CONNECTIONS: 20, OPEN_TIMEOUT: '1s' }
      const crowded = await load('fanout', oneForAll, { url: strict.url })
      expect(crowded.failed).toContain('sse_turned_away count<=0')
    } finally {
      await strict.stop()
    }
  })

  it('the runners of a test share its clients, and are judged together', async () => {
    // As the k6-operator starts them.
    const segment = (part: string) => ['--execution-segment', part, '--execution-segment-sequence', '0,1/2,1']
    const runs = await Promise.all(
      ['0:1/2', '1/2:1'].map((part, i) =>
        load('fanout', { RUNNERS: 2, CONNECTIONS: 60 }, { k6Arguments: segment(part), name: `runner-${i}` }),
      ),
    )
    expect(runs.map(({ swarms }) => swarms.map(({ connections }) => connections))).toEqual([[30], [30]])
    expect(runs.map(({ failed }) => failed)).toEqual([[], []])
    const files = [0, 1].map((i) => join(reports, `runner-${i}.json`))
    const verdict = await execa(process.execPath, ['loadtest/verdict.ts', ...files], { cwd: root })
    const events = runs.reduce((sum, { metrics }) => sum + (metrics.sse_events?.count ?? 0), 0)
    expect(verdict.stdout).toContain('PASSED  fanout, 2 runners together')
    expect(verdict.stdout).toContain('✓ runners count==2 (2)')
    const half = [files[0] as string]
    const alone = await execa(process.execPath, ['loadtest/verdict.ts', ...half], {
      cwd: root,
      reject: false,
    })
    expect([alone.exitCode, alone.stdout]).toEqual([1, expect.stringContaining('✗ runners count==2 (1)')])
    expect(verdict.stdout).toContain(`✓ sse_events count>0 (${events.toLocaleString('en-US')})`)
  })

  it('a runner without files leaves its summary in its log', async () => {
    const { all } = await runK6('fanout', { REPORT: 'log' }, [])
    const summary = summaryInLog(String(all))
    expect(summary?.passed, all).toBe(true)
    expect(summary?.swarms[0]?.events).toBe(summary?.metrics.sse_events?.count)
  })

  it('a gateway that drops every 1,000th event fails the run as lost', async () => {
    const faulty = await WebCluster.start({ gatewaySettings: defect({ DEFECT_DROP_EVERY: 1000 }) })
    try {
      const run = await load('fanout', { RATE: 600, CONNECTIONS: 10 }, { url: faulty.url })
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
      const run = await load('reconnect-storm', settings, { url: faulty.url })
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
