import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
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

test.skipIf(process.getuid?.() !== 0 || existsSync(join(ownTools, 'prometheus')))(
  'as root where there is apt, make up installs it and ends the services that come with it (skipped for others)',
  async () => {
    const calls = join(folder, 'calls')
    const bin = join(folder, 'bin')
    await mkdir(bin)
    // Stands for apt-get and service: notes how it was called, and what it installs is there afterwards.
    const script = `#!/bin/sh
echo "\${0##*/} $*" >> ${calls}
case "$*" in *install*) : > ${bin}/prometheus; : > ${bin}/prometheus-nginx-exporter;; esac
`
    for (const name of ['apt-get', 'service']) await writeFile(join(bin, name), script, { mode: 0o755 })
    vi.stubEnv('PATH', bin)
    const { said, names } = await prepare({})
    expect(said).toEqual([expect.stringContaining('MONITORING=0 does without')])
    expect(names).toEqual(['nginx-exporter', 'prometheus'])
    expect((await readFile(calls, 'utf8')).split('\n')).toEqual([
      'apt-get update',
      'apt-get install -y --no-install-recommends prometheus prometheus-nginx-exporter',
      'service prometheus stop',
      'service prometheus-nginx-exporter stop',
      '',
    ])
    expect((await prepare({})).said).toEqual([])
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
