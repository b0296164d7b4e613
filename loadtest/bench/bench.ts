import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Tools } from '../../deploy/local/cluster.ts'
import { writeNginxConfig } from '../../deploy/local/nginx-config.ts'
import { gatewayNodeOptions } from '../../services/gateway/node-options.ts'
import { freePort } from '../../test/support/ports.ts'
import { waitUntil } from '../../test/support/wait.ts'
import { Child, type Core } from './child.ts'
import { options } from './generator.ts'
import { nchanModule, writeNchanConfig } from './nchan.ts'
import { Service } from './service.ts'
import { onlyChild } from './usage.ts'

const root = join(import.meta.dirname, '../..')

type Values = Record<string, string | number | boolean | undefined>

/** What a row measures with: starts processes on their cores, and ends them all when the row is over. */
export class Bench {
  /** Short and small, to see that every row works; the figures mean nothing. */
  readonly quick: boolean
  /** A temporary folder of this row. */
  readonly folder = mkdtempSync(join(tmpdir(), 'sse-cluster-bench-'))
  private readonly tools: Tools
  private readonly generator: string
  private readonly children: Child[] = []
  private natsServer: Child | undefined
  private natsPort = 0

  constructor(tools: Tools, generator: string, quick: boolean) {
    this.tools = tools
    this.generator = generator
    this.quick = quick
  }

  /** A number of connections, events or clients: a tenth of it when quick. */
  many(count: number): number {
    return this.quick ? Math.ceil(count / 10) : count
  }

  /** Seconds of measuring: two at most when quick. */
  seconds(full: number): number {
    return this.quick ? Math.min(full, 2) : full
  }

  /** Starts nats-server with an empty log, in place of the one before. */
  async nats(): Promise<Child> {
    await this.natsServer?.stop()
    this.natsPort = await freePort()
    const monitor = await freePort()
    const store = join(this.folder, `nats-${this.natsPort}`)
    const args = ['--jetstream', '--store_dir', store, '--addr', '127.0.0.1']
    const ports = ['--port', String(this.natsPort), '--http_port', String(monitor)]
    this.natsServer = this.start(this.tools.natsServer, [...args, ...ports], 'nats-server', 1)
    await this.answers(`http://127.0.0.1:${monitor}/healthz`, 'nats-server')
    return this.natsServer
  }

  /** Starts a gateway on core 0 and returns when it is ready. */
  async gateway(env: Record<string, string | number> = {}): Promise<Service> {
    return await this.service('gateway', { MAX_CONNECTIONS: 19_000, ...env })
  }

  /** Starts a service on core 0 and returns when it is ready. */
  async service(name: 'gateway' | 'publisher', env: Record<string, string | number>): Promise<Service> {
    const port = await freePort()
    const metricsPort = await freePort()
    const child = this.start(
      process.execPath,
      [...(name === 'gateway' ? gatewayNodeOptions : []), join(root, 'services', name, 'main.ts')],
      name,
      0,
      {
        NATS_URL: `nats://127.0.0.1:${this.natsPort}`,
        HOST: '127.0.0.1',
        PORT: port,
        METRICS_PORT: metricsPort,
        AUTH_MODE: 'off',
        LOG_LEVEL: 'warn',
        DRAIN_WINDOW_MS: 0,
        ...env,
      },
    )
    await this.answers(`http://127.0.0.1:${metricsPort}/readyz`, name, 5)
    return new Service(child, port, metricsPort)
  }

  /** Opens streams; see `generator subscribe -help`. */
  subscribe(values: Values): Child {
    return this.start(this.generator, ['subscribe', ...options(values)], 'generator subscribe', 1)
  }

  /** The same for a crowd that must not take the core from those who measure beside it. */
  subscribeNicely(values: Values): Child {
    const args = ['-n', '19', this.generator, 'subscribe', ...options(values)]
    return this.start('nice', args, 'generator subscribe', 1)
  }

  /** Another program beside the generator. */
  run(command: string, args: string[]): Child {
    return this.start(command, args, command, 1)
  }

  /** Publishes to JetStream, or with `http` to that address; see `generator publish -help`. */
  publish(values: Values): Child {
    const where = values.http === undefined ? { nats: `127.0.0.1:${this.natsPort}` } : {}
    return this.start(
      this.generator,
      ['publish', ...options({ ...where, ...values })],
      'generator publish',
      1,
    )
  }

  /** Starts the bare write loop on core 0. It begins by itself when the connections are there. */
  async limit(values: Values): Promise<{ address: string; pid: number; child: Child }> {
    const address = `127.0.0.1:${await freePort()}`
    const child = this.start(this.generator, ['limit', ...options({ address, ...values })], 'limit', 0)
    await child.line('ready')
    return { address, pid: child.pid, child }
  }

  /** Starts nchan on core 0. Undefined when it is not installed. */
  async nchan(): Promise<{ address: string; pid: number; child: Child } | undefined> {
    const module = nchanModule()
    if (!module) return undefined
    const port = await freePort()
    const config = writeNchanConfig(this.folder, port, module)
    const log = join(this.folder, 'nchan.log')
    const child = this.start(this.tools.nginx, ['-e', log, '-c', config], 'nchan', 0)
    await this.answers(`http://127.0.0.1:${port}/`, 'nchan')
    return { address: `127.0.0.1:${port}`, pid: onlyChild(child.pid), child }
  }

  /** Starts the project's Nginx, with one worker, before a gateway. */
  async nginx(gateway: Service, core: Core): Promise<{ address: string; pid: number; child: Child }> {
    const port = await freePort()
    const folder = join(this.folder, 'nginx')
    const config = await writeNginxConfig(folder, {
      NGINX_WORKER_PROCESSES: '1',
      NGINX_WORKER_CONNECTIONS: '19000',
      NGINX_WORKER_RLIMIT_NOFILE: '20000',
      NGINX_HTTP_LISTEN: `127.0.0.1:${port}`,
      NGINX_TLS_LISTEN: `127.0.0.1:${await freePort()}`,
      NGINX_STATUS_LISTEN: `127.0.0.1:${await freePort()}`,
      NGINX_ERROR_LOG: join(folder, 'error.log'),
      NGINX_ACCESS_LOG: join(folder, 'access.log'),
      NGINX_GATEWAY_SERVERS: `server ${gateway.address} max_fails=0;`,
    })
    const log = join(folder, 'error.log')
    const child = this.start(this.tools.nginx, ['-e', log, '-c', config, '-g', 'daemon off;'], 'nginx', core)
    await this.answers(`http://127.0.0.1:${port}/`, 'nginx')
    return { address: `127.0.0.1:${port}`, pid: onlyChild(child.pid), child }
  }

  /** Ends everything that was started, last first, and removes the folder. */
  async close(): Promise<void> {
    for (const child of this.children.toReversed()) await child.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private start(
    command: string,
    args: string[],
    name: string,
    core: Core,
    env: Record<string, string | number> = {},
  ): Child {
    const child = new Child(command, args, { name, core, env })
    this.children.push(child)
    return child
  }

  /** Any answer below 500 counts: Nginx has nothing at `/`. */
  private async answers(url: string, name: string, intervalMs = 25): Promise<void> {
    const child = this.children.at(-1) as Child
    try {
      await waitUntil(async () => !child.alive || (await fetch(url)).status < 500, {
        what: `${name} to be ready`,
        timeoutMs: 60_000,
        intervalMs,
      })
    } catch (error) {
      throw new Error(`${name} did not become ready: ${child.said()}`, { cause: error })
    }
    if (!child.alive) throw new Error(`${name} ended: ${child.said()}`)
  }
}
