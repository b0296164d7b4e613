import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type K6Program, provideK6 } from '../../loadtest/k6-program.ts'
import {
  annotationQueries,
  committedBoards,
  panelsOf,
  queriesOf,
  runbookQueries,
  withVariables,
} from '../support/boards.ts'
import { LogWriter } from '../support/log-writer.ts'
import { type NatsMember, startNatsCluster, whyNoNatsCluster } from '../support/nats-cluster.ts'
import { freePort } from '../support/ports.ts'
import { missingMonitoring, startPrometheus } from '../support/prometheus.ts'
import { startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'
import { firedUntil, scrapeIntervalMs, WatchedCluster } from '../support/watched-cluster.ts'

// A real Prometheus scrapes a real cluster under load; the cluster is injured, and the alerts are read.

const missing = missingMonitoring()
// A local build only: an image could not reach the servers of this test.
const k6 = await provideK6((text) => console.log(text)).catch(() => undefined)
const realK6 = k6?.how === 'go' ? k6 : undefined
const title = missing.length > 0 ? `(skipped: no ${missing.join(', no ')} here)` : ''

describe.skipIf(missing.length > 0)(`a watched cluster ${title}`, () => {
  let watched: WatchedCluster
  let standIn: Server | undefined

  beforeAll(async () => {
    const port = await freePort()
    if (!realK6) standIn = await startK6StandIn(port)
    watched = await WatchedCluster.start({ targets: { k6: standIn ? [`127.0.0.1:${port}`] : [] } })
  }, 180_000)
  afterAll(async () => {
    await watched?.stop()
    standIn?.close()
  })

  test(`every query of every panel returns data (k6: ${realK6 ? 'a real run' : 'a stand-in'})`, async () => {
    if (realK6) await runK6(realK6, watched)
    const queries = committedBoards().flatMap(({ file, board }) =>
      panelsOf(board).flatMap((panel) =>
        queriesOf(panel).map((expression) => ({ where: `${file}: ${panel.title}`, expression })),
      ),
    )
    expect(queries.length).toBeGreaterThan(100)
    let dead = queries
    await waitUntil(
      async () => {
        await watched.replay()
        const answers = await Promise.all(
          dead.map(async (query) => ({
            query,
            samples: await watched.prometheus.query(withVariables(query.expression, '10s')),
          })),
        )
        dead = answers.filter(({ samples }) => !hasNumber(samples)).map(({ query }) => query)
        return dead.length === 0
      },
      { what: 'data for every query', timeoutMs: 120_000, intervalMs: 1_000 },
    ).catch(() => undefined)
    expect(dead).toEqual([])
  })

  test('every query of the runbooks and annotations is one that Prometheus takes', async () => {
    const queries = [
      ...runbookQueries(),
      ...committedBoards().flatMap(({ board }) => annotationQueries(board)),
    ]
    expect(queries.length).toBeGreaterThan(70)
    for (const query of queries) await watched.prometheus.query(query)
  })

  test('a healthy cluster under load has raised nothing from the first scrape on', async () => {
    expect(await watched.firedSoFar()).toEqual([])
    expect(await watched.prometheus.query('count(up == 0)')).toEqual([])
    // The rules are computed, and none fails.
    const failures = await watched.prometheus.query('sum(prometheus_rule_evaluation_failures_total)')
    expect(failures.map(({ value }) => value).filter((value) => value > 0)).toEqual([])
  })

  test('a restart of gateways, Nginx and prober, one after another, raises nothing', async () => {
    // Slower than injuries are seen: a second that a process takes to start is six of production here, and not thirty.
    await watched.watchAnew(6)
    await watched.restartOneByOne()
    const { prometheus } = watched
    // Past every window that pages within minutes: five minutes are 50 s.
    const begin = Date.now()
    await waitUntil(() => Date.now() - begin > 50_000, { what: 'five minutes', timeoutMs: 60_000 })
    expect(await prometheus.query('sum(up) == count(up)')).toHaveLength(1)
    expect(await watched.firedSoFar()).toEqual([])
  })

  test('a killed gateway: SseTargetDown, and no other', async () => {
    await watched.watchAnew()
    const { cluster } = watched
    const killed = cluster.gateways[0]?.metricsPort
    await cluster.killGateway(0)
    const { names, alerts } = await watched.firedUntil(['SseTargetDown'])
    await cluster.startGateway(0)
    expect(names).toEqual(['SseTargetDown'])
    expect(alerts[0]).toMatchObject({
      labels: { severity: 'ticket', job: 'gateway', instance: `127.0.0.1:${killed}` },
      annotations: {
        summary: `gateway 127.0.0.1:${killed} does not answer`,
        runbook_url: 'docs/runbooks/SseTargetDown.md',
      },
    })
  })

  test('NATS stopped: SseLogUnreachable, and nothing that follows from it', async () => {
    await watched.watchAnew()
    const { nats } = watched.cluster
    await nats.kill()
    const { names, alerts } = await watched.firedUntil(['SseLogUnreachable'])
    await nats.restart()
    expect(names).toEqual(['SseLogUnreachable'])
    expect(alerts[0]?.labels.severity).toBe('page')
  })

  test('readers that never read: SseReadersTooSlow, and no other', async () => {
    await watched.watchAnew()
    const end = await watched.stuckReaders(8, 'stuck')
    const writer = await LogWriter.connect(watched.cluster.nats.url)
    // 16 MB: more than the sockets' buffers hold.
    await writer.numbered(4_000, 'stuck', 4_000)
    const { names } = await watched.firedUntil(['SseReadersTooSlow'])
    await writer.close()
    end()
    expect(names).toEqual(['SseReadersTooSlow'])
  })

  test('a closed front door: what users feel pages, with its cause, and no other', async () => {
    await watched.watchAnew()
    const { nginx } = watched.cluster
    await nginx.stop()
    const wanted = ['SseAvailabilityBudgetBurn', 'SseNginxDown', 'SseProbeFailing']
    const { names } = await watched.firedUntil(wanted)
    expect(names).toEqual(wanted)
  })
})

const noCluster = missing.length > 0 ? `no ${missing.join(', no ')} here` : await whyNoNatsCluster()

test.skipIf(noCluster)(
  `one of three NATS servers killed: SseLogReplicaLost, and no other${noCluster ? ` (skipped: ${noCluster})` : ''}`,
  async () => {
    const nats = await startNatsCluster()
    const [first, second, third] = nats.members as [NatsMember, NatsMember, NatsMember]
    // Of the one that is killed nobody is a client, and it does not lead: nothing else is lost with it.
    const settings = { NATS_URL: `${first.url},${second.url}`, STREAM_REPLICAS: 3 }
    const publisher = await startService('publisher', settings)
    const gateway = await startService('gateway', settings)
    const prometheus = await startPrometheus({
      // Slower than the others: the publisher asks JetStream every five seconds, and a minute must stay more than that.
      ...{ speed: 6, scrapeIntervalMs },
      targets: Object.fromEntries(
        [publisher, gateway].map(({ name, metricsPort }) => [name, [`127.0.0.1:${metricsPort}`]]),
      ),
    })
    try {
      await waitUntil(
        async () =>
          (await prometheus.query('sse_log_replicas_current == 3 and on () sum(sse_nats_connected) == 2'))
            .length > 0,
        { what: 'three current replicas', timeoutMs: 60_000 },
      )
      // Until the first scrape there is no gateway.
      await waitUntil(async () => (await prometheus.alerts()).length === 0, {
        what: 'the alerts of the start to end',
        timeoutMs: 60_000,
      })
      await untilAnotherLeads(first.url, third.name)
      await third.kill()
      const { names } = await firedUntil(prometheus, ['SseLogReplicaLost'])
      expect(names).toEqual(['SseLogReplicaLost'])
    } finally {
      await prometheus.stop()
      await Promise.all([gateway.kill(), publisher.kill()])
      await nats.stop()
    }
  },
)

/** Has the log led by another server than `name`. */
async function untilAnotherLeads(url: string, name: string): Promise<void> {
  const connection = await connect({ servers: url })
  const manager = await jetstreamManager(connection)
  await waitUntil(
    async () => {
      const { cluster } = await manager.streams.info('EVENTS')
      if (cluster?.leader && cluster.leader !== name) return true
      await connection.request('$JS.API.STREAM.LEADER.STEPDOWN.EVENTS')
      return false
    },
    { what: `another server than ${name} to lead`, timeoutMs: 60_000, intervalMs: 500 },
  )
  await connection.close()
}

const hasNumber = (samples: { value: number }[]) => samples.some(({ value }) => !Number.isNaN(value))

/** Storms of a small crowd: k6 writes what it measures into Prometheus, as loadtest/run.ts lets it. */
async function runK6(k6: K6Program, { cluster, prometheus }: WatchedCluster) {
  const reports = await mkdtemp(join(tmpdir(), 'sse-cluster-k6-'))
  const settings = {
    ...{ BASE_URL: cluster.url, CONNECTIONS: 10, RATE: 20, STORMS: 2, CALM: '3s', RETURN_WITHIN: '1s' },
    ...{ P99_MS: 60_000, CONNECT_P99_MS: 60_000, REPORT_DIR: reports, REPORT_NAME: 'watched' },
  }
  const given = Object.entries(settings).flatMap(([name, value]) => ['-e', `${name}=${value}`])
  const ownSettings = {
    K6_AUTO_EXTENSION_RESOLUTION: 'false',
    K6_PROMETHEUS_RW_SERVER_URL: `${prometheus.url}/api/v1/write`,
    K6_PROMETHEUS_RW_TREND_STATS: 'p(50),p(90),p(99)',
    K6_PROMETHEUS_RW_PUSH_INTERVAL: '1s',
  }
  const [command = '', ...first] = k6.command(Object.keys(ownSettings))
  const run = await execa(
    command,
    [
      ...[...first, 'run', '--no-usage-report', '--quiet', '--address=127.0.0.1:0'],
      ...['-o', 'experimental-prometheus-rw', ...given, 'loadtest/scenarios/reconnect-storm.ts'],
    ],
    {
      cwd: join(import.meta.dirname, '../..'),
      env: ownSettings,
      reject: false,
      all: true,
    },
  )
  await rm(reports, { recursive: true, force: true })
  if (run.failed) throw new Error(`k6 failed:\n${run.all}`)
}

/** The series that k6 would write, to be scraped, where k6 can't be built. */
async function startK6StandIn(port: number): Promise<Server> {
  const begun = performance.now()
  const gauges = ['connections', 'resume_ok_rate']
  const trends = ['connect_duration', 'first_block_duration', 'latency'].flatMap((name) =>
    ['p50', 'p90', 'p99'].map((quantile) => `${name}_${quantile}`),
  )
  const counters = [
    'events',
    'bytes',
    'lost',
    'duplicated',
    'out_of_order',
    'gaps',
    'reconnects',
    'connect_errors',
  ]
  const server = createServer((_, response) => {
    const seconds = Math.round((performance.now() - begun) / 1_000)
    const lines = [
      'k6_vus 1',
      ...gauges.map((name) => `k6_sse_${name} 1`),
      ...trends.map((name) => `k6_sse_${name} 0.01`),
      ...counters.map((name) => `k6_sse_${name}_total ${seconds}`),
    ]
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(`${lines.join('\n')}\n`)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return server
}
