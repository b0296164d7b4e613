import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { clusterProcesses, clusterSettings } from '../../deploy/local/cluster.ts'
import { monitoringProcesses, prepareMonitoring } from '../../deploy/local/monitoring.ts'
import { ownTools } from '../../deploy/local/tools.ts'
import { writePrometheusConfig } from '../../deploy/observability/prometheus/render.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sse-cluster-monitoring-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

async function prepare(environment: Record<string, string>) {
  const settings = clusterSettings({ RUN_DIR: folder, ...environment })
  const said: string[] = []
  const cluster = clusterProcesses(settings, { natsServer: '', nginx: '' })
  await prepareMonitoring(settings, cluster, (text) => said.push(text))
  return { said, names: monitoringProcesses(settings).map(({ name }) => name) }
}

test.skipIf(existsSync(join(ownTools, 'prometheus')))(
  'where Prometheus can’t be had, make up says so in one line and goes on (skipped where .tools/bin has it)',
  async () => {
    vi.stubEnv('PATH', folder)
    const { said, names } = await prepare({})
    expect(said).toEqual([expect.stringMatching(/^No Prometheus: .* goes on without\.$/)])
    expect(names).toEqual([])
  },
)

test('MONITORING=0 leaves it off without a word', async () => {
  expect(await prepare({ MONITORING: '0' })).toEqual({ said: [], names: [] })
})

test('the configuration has the jobs that rules and boards ask for, and no job without a target', async () => {
  const targets = { gateway: ['127.0.0.1:1', '127.0.0.1:2'], publisher: ['127.0.0.1:3'], demo: [] }
  const path = writePrometheusConfig(folder, { targets, scrapeIntervalMs: 500 })
  const config = parse(await readFile(path, 'utf8'))
  expect(config.scrape_configs).toEqual([
    { job_name: 'gateway', static_configs: [{ targets: targets.gateway }] },
    { job_name: 'publisher', static_configs: [{ targets: targets.publisher }] },
  ])
  expect(config.rule_files).toEqual([join(folder, 'rules/*.yaml')])
  expect(existsSync(join(folder, 'rules/causes.yaml'))).toBe(true)
})
