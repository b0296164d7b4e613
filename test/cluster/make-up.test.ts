import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clusterPorts, clusterSettings } from '../../deploy/local/cluster.ts'
import { findMonitoring } from '../../deploy/local/monitoring.ts'
import { blockedPorts } from '../../deploy/local/ports.ts'
import { type ClusterState, isGroupAlive } from '../../deploy/local/state.ts'
import { provideK6 } from '../../loadtest/k6-program.ts'
import { waitUntil } from '../support/wait.ts'

// One cluster of its own, with its own folder and ports, through the same `make` as everybody's.

let runDir: string
let environment: Record<string, string>
let ports: ReturnType<typeof clusterPorts>

beforeAll(async () => {
  runDir = await mkdtemp(join(tmpdir(), 'sse-cluster-up-'))
  environment = { LOCAL: '1', RUN_DIR: runDir, PORT_SHIFT: String(await freeShift()), DRAIN_WINDOW_MS: '500' }
  ports = clusterPorts(clusterSettings(environment))
})
afterAll(async () => {
  await make('down')
  await rm(runDir, { recursive: true, force: true })
})

const root = join(import.meta.dirname, '../..')

async function make(target: string, settings: Record<string, string> = {}) {
  const env = { ...environment, ...settings }
  return await execa('make', [target], { cwd: root, env, reject: false, all: true })
}

const state = () => JSON.parse(readFileSync(join(runDir, 'state.json'), 'utf8')) as ClusterState
const marks = () => [state().supervisor, ...state().processes]

function find(name: string) {
  const record = state().processes.find((process) => process.name === name)
  if (!record) throw new Error(`${name} is not in the state`)
  return record
}

test('a busy port is named with its holder, and nothing is started', async () => {
  const holder = createServer()
  await new Promise<void>((resolve) => holder.listen(ports.tls, '127.0.0.1', resolve))
  const { exitCode, all } = await make('up')
  await new Promise((resolve) => holder.close(resolve))
  expect(all).toContain(`${ports.tls} (nginx, TLS)`)
  expect(exitCode).not.toBe(0)
  expect(existsSync(join(runDir, 'state.json'))).toBe(false)
})

test('a port to which no browser would connect is named, and nothing is started', async () => {
  const { exitCode, all } = await make('up', { PORT_SHIFT: '2000' })
  expect(all).toContain('10080 (nginx, HTTP): browsers and fetch refuse')
  expect(exitCode).not.toBe(0)
  expect(existsSync(join(runDir, 'state.json'))).toBe(false)
})

test('make up returns when events come through, and a second time is harmless', async () => {
  const first = await make('up')
  expect(first.all).toContain('Events come through.')
  const before = marks()
  const second = await make('up')
  expect([second.exitCode, second.all]).toEqual([0, expect.stringContaining('already running')])
  expect(marks()).toEqual(before)

  const status = await make('status')
  expect(status.exitCode).toBe(0)
  for (const name of ['nats', 'publisher', 'gateway-1', 'gateway-2', 'nginx', 'demo', 'prober']) {
    expect(status.all).toMatch(new RegExp(`^${name} .* ready `, 'm'))
  }
})

const k6 = await provideK6((text) => console.log(text)).catch((error: Error) => error.message)
const noK6 = typeof k6 === 'string' ? ` (skipped: ${k6})` : ''

test.skipIf(noK6)(`make load passes against make up, and says where its report is${noK6}`, async () => {
  const { exitCode, all } = await make('load', { BASE_URL: `http://localhost:${ports.http}` })
  expect(exitCode, all).toBe(0)
  const report = /^report: (\S+\.html)$/m.exec(all ?? '')?.[1] ?? 'none'
  expect(readFileSync(join(root, report), 'utf8')).toContain('smoke: passed')
  for (const file of [report, report.replace(/html$/, 'json')]) await rm(join(root, file))
})

const programs = findMonitoring({})
const missing = programs.prometheus ? '' : ' (skipped: no prometheus here)'

test.skipIf(missing)(`make up starts Prometheus, which scrapes all and has the rules${missing}`, async () => {
  const url = `http://127.0.0.1:${ports.prometheus}/api/v1`
  const read = async (path: string) => (await (await fetch(url + path)).json()).data
  const jobs = ['gateway', 'gateway', 'publisher', 'prober', 'demo', 'prometheus']
  if (programs.nginxExporter) jobs.push('nginx')
  await waitUntil(
    async () => {
      const { result } = await read('/query?query=up')
      const up = result.filter((series: { value: [number, string] }) => series.value[1] === '1')
      expect(up.map((series: { metric: { job: string } }) => series.metric.job).sort()).toEqual(jobs.sort())
      return true
    },
    { what: 'every process to be scraped', timeoutMs: 60_000 },
  )
  expect((await read('/rules')).groups.length).toBeGreaterThan(5)
})

test('what is killed is started again', async () => {
  const killed = ['gateway-1', 'nginx'].map(find)
  for (const { pid } of killed) process.kill(pid, 'SIGKILL')
  for (const { name, pid, readyUrl } of killed) {
    await waitUntil(async () => find(name).pid !== pid && (await fetch(readyUrl)).ok, {
      what: `${name} to be back`,
    })
    expect(find(name).restarts).toBe(1)
  }
  // Its workers too: two Nginx on one port would share the connections.
  expect(killed.some(isGroupAlive)).toBe(false)
})

test('a killed supervisor is repaired by make up, and nothing is left behind', async () => {
  const before = marks()
  process.kill(state().supervisor.pid, 'SIGKILL')
  process.kill(find('nginx').pid, 'SIGKILL')
  await waitUntil(async () => (await make('status')).all?.includes('The supervisor is gone'), {
    what: 'the status to tell it',
  })
  expect((await make('up')).all).toContain('Events come through.')
  expect(before.some(isGroupAlive)).toBe(false)
})

test('make down ends everything, keeps the data, and a second time is harmless', async () => {
  const before = marks()
  expect((await make('down')).exitCode).toBe(0)
  expect(before.some(isGroupAlive)).toBe(false)
  expect(existsSync(join(runDir, 'nats/jetstream'))).toBe(true)
  expect(await make('down')).toMatchObject({
    exitCode: 0,
    all: expect.stringContaining('Nothing is running'),
  })
})

test('make down also ends a cluster whose supervisor was killed', async () => {
  await make('up')
  const before = marks()
  process.kill(state().supervisor.pid, 'SIGKILL')
  expect((await make('down')).exitCode).toBe(0)
  expect(before.some(isGroupAlive)).toBe(false)
})

/** One at which no port is taken, and all are below 12000. */
async function freeShift(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const shift = 100 + Math.floor(Math.random() * 2700)
    const all = clusterPorts(clusterSettings({ PORT_SHIFT: String(shift) }))
    const { gateways, publisher, ...single } = all
    const pairs = [publisher, ...gateways].flatMap(({ port, metrics }) => [port, metrics])
    const candidates = [...Object.values(single), ...pairs]
    if (candidates.some((port) => blockedPorts.has(port))) continue
    const free = await Promise.all(candidates.map(canListen))
    if (free.every(Boolean)) return shift
  }
  throw new Error('No free range of ports')
}

async function canListen(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
