import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Tools } from '../../deploy/local/cluster.ts'
import { writeNginxConfig } from '../../deploy/local/nginx-config.ts'
import { gatewayNodeOptions } from '../../services/gateway/node-options.ts'
import { freePort } from '../../test/support/ports.ts'
import { waitUntil } from '../../test/support/wait.ts'
import { Child, type Core } from '../bench/child.ts'
import { tokenSettings, writeTokens } from '../bench/tokens.ts'

const root = join(import.meta.dirname, '../..')

export interface Address {
  url: string
  metricsUrl: string
}

/** The whole cluster as processes: gateways and Nginx share core 0; k6, the publisher and JetStream share core 1. */
export class Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'sse-cluster-at-scale-'))
  readonly children: Child[] = []
  readonly gateways: Address[] = []
  publishUrl = ''
  private readonly tools: Tools
  private natsUrl = ''

  constructor(tools: Tools) {
    this.tools = tools
  }

  /** JetStream, a publisher, and so many gateways, all with tokens. Returns when they are ready. */
  async start(gateways: number, connectionsEach: number): Promise<void> {
    const [port, monitor] = [await freePort(), await freePort()]
    this.natsUrl = `nats://127.0.0.1:${port}`
    const args = ['--jetstream', '--store_dir', join(this.folder, 'nats'), '--addr', '127.0.0.1']
    this.run(
      'nats-server',
      1,
      this.tools.natsServer,
      [...args, '--port', `${port}`, '--http_port', `${monitor}`],
      {},
    )
    await this.answers(`http://127.0.0.1:${monitor}/healthz`)
    this.publishUrl = (await this.service('publisher', 1, [], {})).url
    for (let i = 0; i < gateways; i++) {
      // Programs that know one token only are one subject.
      const settings = { MAX_CONNECTIONS: connectionsEach, MAX_CONNECTIONS_PER_SUBJECT: connectionsEach }
      this.gateways.push(await this.service('gateway', 0, gatewayNodeOptions, settings))
    }
  }

  /** Nginx with the project's configuration before all gateways and the publisher; returns its https address. */
  async nginx(workers: number): Promise<string> {
    const folder = join(this.folder, 'nginx')
    const server = ({ url }: { url: string }) => `server ${new URL(url).host} max_fails=0;`
    const [port, tlsPort] = [await freePort(), await freePort()]
    const config = await writeNginxConfig(folder, {
      NGINX_WORKER_PROCESSES: `${workers}`,
      NGINX_WORKER_CONNECTIONS: '19000',
      NGINX_WORKER_RLIMIT_NOFILE: '20000',
      NGINX_HTTP_LISTEN: `127.0.0.1:${port}`,
      NGINX_TLS_LISTEN: `127.0.0.1:${tlsPort}`,
      NGINX_STATUS_LISTEN: `127.0.0.1:${await freePort()}`,
      NGINX_ERROR_LOG: join(folder, 'error.log'),
      NGINX_ACCESS_LOG: join(folder, 'access.log'),
      NGINX_GATEWAY_SERVERS: this.gateways.map(server).join(' '),
      NGINX_PUBLISHER_SERVERS: server({ url: this.publishUrl }),
      NGINX_PAGES_ROOT: folder,
    })
    const log = join(folder, 'error.log')
    this.run('nginx', 0, this.tools.nginx, ['-e', log, '-c', config, '-g', 'daemon off;'], {})
    await this.answers(`http://127.0.0.1:${port}/openapi.json`)
    return `https://127.0.0.1:${tlsPort}`
  }

  /** A file of so many tokens, each of another subject. */
  tokens(name: string, count: number): string {
    return writeTokens(join(this.folder, `${name}.tokens`), count, name)
  }

  /** Streams that the gateways serve now. */
  async streams(): Promise<number> {
    const counts = await Promise.all(
      this.gateways.map(async ({ metricsUrl }) => {
        const text = await (await fetch(metricsUrl)).text()
        const states = [...text.matchAll(/^sse_connections\{[^}]*\} (\d+)$/gm)]
        return states.reduce((sum, [, count]) => sum + Number(count), 0)
      }),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Processes of that name, with their children: Nginx's workers. */
  async pids(name: string): Promise<number[]> {
    const own = this.children.filter((child) => child.name === name && child.alive).map(({ pid }) => pid)
    const more = await Promise.all(
      own.map(async (pid) =>
        (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
          .split(' ')
          .filter((text) => text !== '')
          .map(Number),
      ),
    )
    return [...own, ...more.flat()]
  }

  run(
    name: string,
    core: Core,
    command: string,
    args: string[],
    env: Record<string, string | number>,
  ): Child {
    const child = new Child(command, args, { name, core, env })
    this.children.push(child)
    return child
  }

  /** Ends everything, last first. */
  async stop(): Promise<void> {
    for (const child of this.children.toReversed()) await child.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }

  private async service(
    name: 'gateway' | 'publisher',
    core: Core,
    nodeOptions: string[],
    settings: Record<string, number>,
  ): Promise<Address> {
    const [port, metricsPort] = [await freePort(), await freePort()]
    this.run(name, core, process.execPath, [...nodeOptions, join(root, 'services', name, 'main.ts')], {
      NATS_URL: this.natsUrl,
      HOST: '127.0.0.1',
      PORT: port,
      METRICS_PORT: metricsPort,
      ...tokenSettings,
      LOG_LEVEL: 'warn',
      DRAIN_WINDOW_MS: 0,
      ...settings,
    })
    await this.answers(`http://127.0.0.1:${metricsPort}/readyz`)
    return { url: `http://127.0.0.1:${port}`, metricsUrl: `http://127.0.0.1:${metricsPort}/metrics` }
  }

  private async answers(url: string): Promise<void> {
    const child = this.children.at(-1) as Child
    await waitUntil(async () => !child.alive || (await fetch(url)).ok, { what: url, timeoutMs: 60_000 })
    if (!child.alive) throw new Error(`${child.name} ended: ${child.said()}`)
  }
}
