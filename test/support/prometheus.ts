import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { findMonitoring } from '../../deploy/local/monitoring.ts'
import { type RenderOptions, writePrometheusConfig } from '../../deploy/observability/prometheus/render.ts'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

export interface Sample {
  labels: Record<string, string>
  value: number
}

export interface Alert {
  labels: Record<string, string>
  annotations: Record<string, string>
  state: 'pending' | 'firing'
}

export interface Prometheus {
  url: string
  /** An instant query. @throws with what Prometheus says when it refuses it. */
  query(expression: string): Promise<Sample[]>
  alerts(): Promise<Alert[]>
  stop(): Promise<void>
}

const programs = findMonitoring({})

/** Names of what is missing of Prometheus and Nginx's exporter; says so once on standard error. */
export function missingMonitoring(): string[] {
  const missing = [
    ...(programs.prometheus ? [] : ['prometheus']),
    ...(programs.nginxExporter ? [] : ['nginx-prometheus-exporter']),
  ]
  if (missing.length > 0)
    console.warn(
      `Missing: ${missing.join(', ')} (Debian: apt-get install prometheus prometheus-nginx-exporter). ` +
        'Tests with a real Prometheus are skipped.',
    )
  return missing
}

/** Path of promtool, beside Prometheus or on PATH; undefined, said once on standard error, where there is none. */
export async function findPromtool(): Promise<string | undefined> {
  const beside = programs.prometheus && join(dirname(programs.prometheus), 'promtool')
  for (const path of [beside, 'promtool']) {
    if (path && !(await execa(path, ['--version'], { reject: false })).failed) return path
  }
  console.warn('No promtool (Debian: apt-get install prometheus): the rules are not tested.')
  return undefined
}

/** Starts a real Prometheus with the project's own rules, and returns when it is ready. */
export async function startPrometheus(options: RenderOptions): Promise<Prometheus> {
  if (!programs.prometheus) throw new Error('There is no Prometheus')
  const folder = await mkdtemp(join(tmpdir(), 'sse-cluster-prometheus-'))
  const config = writePrometheusConfig(folder, options)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const child = execa(
    programs.prometheus,
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-remote-write-receiver',
    ],
    { reject: false, all: true },
  )
  const read = async <T>(path: string): Promise<T> => {
    const answer = (await (await fetch(url + path)).json()) as { status: string; error?: string; data: T }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await child
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await waitUntil(async () => (await fetch(`${url}/-/ready`)).ok, {
      what: 'Prometheus to be ready',
      timeoutMs: 30_000,
    })
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`Prometheus did not start:\n${(await child).all}`, { cause: error })
  }
  return {
    url,
    async query(expression) {
      const { result } = await read<{
        result: { metric: Record<string, string>; value: [number, string] }[]
      }>(`/api/v1/query?query=${encodeURIComponent(expression)}`)
      return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }))
    },
    alerts: async () => (await read<{ alerts: Alert[] }>('/api/v1/alerts')).alerts,
    stop,
  }
}

/** Starts the exporter of Nginx's counters. @returns its address and how to end it. */
export async function startNginxExporter(statusUrl: string) {
  if (!programs.nginxExporter) throw new Error('There is no nginx-prometheus-exporter')
  const address = `127.0.0.1:${await freePort()}`
  const child = execa(
    programs.nginxExporter,
    [`--nginx.scrape-uri=${statusUrl}`, `--web.listen-address=${address}`],
    { reject: false, stdio: 'ignore' },
  )
  await waitUntil(async () => (await fetch(`http://${address}/metrics`)).ok, {
    what: 'the exporter of Nginx’s counters',
  })
  return {
    address,
    async stop() {
      child.kill('SIGTERM')
      await child
    },
  }
}
