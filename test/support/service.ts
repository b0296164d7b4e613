import { join } from 'node:path'
import { execa } from 'execa'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

export type ServiceName = 'publisher' | 'gateway' | 'demo' | 'prober'

export interface Service {
  name: ServiceName
  pid: number
  port: number
  /** `http://127.0.0.1:<port>` */
  url: string
  metricsPort: number
  /** Of `/livez`, `/readyz` and `/metrics`. */
  operationsUrl: string
  /** All of standard output and standard error so far. */
  output(): string
  /** The parsed JSON lines of the log so far. */
  logLines(): Record<string, unknown>[]
  isReady(): Promise<boolean>
  /** The value of the metric `series`, such as `x_total{outcome="stored"}`; 0 when it is not there. */
  metric(series: string): Promise<number>
  /** SIGTERM; resolves with the exit code (undefined when a signal ended it) once it is gone. */
  term(): Promise<number | undefined>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Resolves when the process is gone, however it ends. */
  exited: Promise<number | undefined>
}

export interface StartOptions {
  /** False returns at once instead of waiting for `/readyz`. */
  ready?: boolean
  timeoutMs?: number
}

const root = join(import.meta.dirname, '../..')

/**
 * Starts `services/<name>/main.ts` as a process of its own, on free ports unless `env` names them, and returns
 * when it is ready. It ends with the test process at the latest.
 *
 * @throws when it ends or is not ready in time, with its output.
 */
export async function startService(
  name: ServiceName,
  env: Record<string, string | number> = {},
  options: StartOptions = {},
): Promise<Service> {
  const settings: Record<string, string> = {
    HOST: '127.0.0.1',
    AUTH_MODE: 'off',
    PORT: String(env.PORT ?? (await freePort())),
    METRICS_PORT: String(env.METRICS_PORT ?? (await freePort())),
    ...Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value)])),
  }
  const child = execa(process.execPath, [join(root, 'services', name, 'main.ts')], {
    cwd: root,
    env: settings,
    all: true,
    buffer: false,
    reject: false,
    // A drain may take its time; SIGKILL after SIGTERM would hide that it hangs.
    forceKillAfterDelay: false,
  })
  let output = ''
  child.all.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  let running = true
  const exited = child.then((result) => {
    running = false
    return result.exitCode
  })
  const operationsUrl = `http://127.0.0.1:${settings.METRICS_PORT}`
  const isReady = async () =>
    await fetch(`${operationsUrl}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    )
  const service: Service = {
    name,
    pid: child.pid as number,
    port: Number(settings.PORT),
    url: `http://127.0.0.1:${settings.PORT}`,
    metricsPort: Number(settings.METRICS_PORT),
    operationsUrl,
    output: () => output,
    logLines: () => output.split('\n').flatMap(jsonLine),
    isReady,
    async metric(series) {
      const text = await (await fetch(`${operationsUrl}/metrics`)).text()
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `))
      return line ? Number(line.slice(series.length + 1)) : 0
    },
    async term() {
      child.kill('SIGTERM')
      return await exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    exited,
  }
  if (options.ready !== false) {
    try {
      await waitUntil(async () => !running || (await isReady()), {
        what: `${name} to be ready`,
        timeoutMs: options.timeoutMs ?? 30_000,
      })
      if (!running) throw new Error(`${name} ended with code ${await exited}`)
    } catch (error) {
      child.kill('SIGKILL')
      throw new Error(`${name} did not start:\n${output}`, { cause: error })
    }
  }
  return service
}

function jsonLine(line: string): Record<string, unknown>[] {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : []
  } catch {
    return []
  }
}
