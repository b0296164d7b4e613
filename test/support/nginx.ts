import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { type NginxVariables, writeNginxConfig } from '../../deploy/local/nginx-config.ts'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

export interface NginxOptions {
  /** Ports on 127.0.0.1. */
  gateways?: number[]
  publishers?: number[]
  variables?: NginxVariables
}

export interface Nginx {
  pid: number
  port: number
  /** `http://127.0.0.1:<port>` */
  url: string
  tlsPort: number
  /** `https://localhost:<tlsPort>`, with the development certificate. */
  tlsUrl: string
  /** PEM file, to be trusted by clients of `tlsUrl`. */
  certificate: string
  statusUrl: string
  folder: string
  /** Entries of the access log so far; a request is in it when it has ended. */
  accessLog(): Record<string, unknown>[]
  /** Every byte in both logs. */
  logText(): string
  /** Reads its configuration again (SIGHUP); returns when new workers take the connections. */
  reload(): Promise<void>
  stop(): Promise<void>
}

/** Path of nginx; TEST_NGINX names another one than the machine's. @throws when there is none. */
export function findNginx(): string {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  const candidates = folders.map((folder) => join(folder, 'nginx'))
  const found = process.env.TEST_NGINX ?? candidates.find((path) => existsSync(path))
  if (!found)
    throw new Error('No nginx: install it (apt-get install nginx-light) or set TEST_NGINX to its path')
  return found
}

/** Starts the real Nginx with the project's configuration on free ports, and returns when it answers. */
export async function startNginx(options: NginxOptions = {}): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'sse-cluster-nginx-'))
  const [port, tlsPort, statusPort] = [await freePort(), await freePort(), await freePort()]
  const config = await writeNginxConfig(folder, {
    NGINX_WORKER_PROCESSES: '2',
    NGINX_WORKER_CONNECTIONS: '4096',
    NGINX_WORKER_RLIMIT_NOFILE: '9000',
    NGINX_HTTP_LISTEN: `127.0.0.1:${port}`,
    NGINX_TLS_LISTEN: `127.0.0.1:${tlsPort}`,
    NGINX_STATUS_LISTEN: `127.0.0.1:${statusPort}`,
    NGINX_ERROR_LOG: join(folder, 'error.log'),
    NGINX_ACCESS_LOG: join(folder, 'access.log'),
    NGINX_GATEWAY_SERVERS: servers(options.gateways ?? [await freePort()]),
    NGINX_PUBLISHER_SERVERS: servers(options.publishers ?? [await freePort()]),
    NGINX_PAGES_ROOT: folder,
    ...options.variables,
  })
  const child = execa(findNginx(), ['-e', join(folder, 'error.log'), '-c', config, '-g', 'daemon off;'], {
    all: true,
    reject: false,
  })
  let running = true
  const exited = child.then((result) => {
    running = false
    return result
  })
  const statusUrl = `http://127.0.0.1:${statusPort}/status`
  const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  try {
    await waitUntil(async () => !running || (await fetch(statusUrl)).ok, { what: 'nginx to answer' })
    if (!running) throw new Error(`nginx ended with code ${(await exited).exitCode}`)
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`nginx did not start:\n${(await exited).all}\n${read(join(folder, 'error.log'))}`, {
      cause: error,
    })
  }
  const reloads = () => read(join(folder, 'error.log')).split('start worker process ').length
  return {
    pid: child.pid as number,
    port,
    url: `http://127.0.0.1:${port}`,
    tlsPort,
    tlsUrl: `https://localhost:${tlsPort}`,
    certificate: join(folder, 'tls/cert.pem'),
    statusUrl,
    folder,
    accessLog: () =>
      read(join(folder, 'access.log'))
        .split('\n')
        .filter((line) => line.endsWith('}'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    logText: () => read(join(folder, 'access.log')) + read(join(folder, 'error.log')),
    async reload() {
      const before = reloads()
      child.kill('SIGHUP')
      await waitUntil(() => reloads() >= before + 2, { what: 'nginx to start its new workers' })
    },
    async stop() {
      child.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function servers(ports: number[]): string {
  return ports.map((port) => `server 127.0.0.1:${port} max_fails=0;`).join(' ')
}

export interface Upstream {
  port: number
  /** How many requests have come. */
  requests(): number
  stop(): Promise<void>
}

/** A real HTTP server that stands for a gateway or a publisher. */
export async function startUpstream(handler: RequestListener, port?: number): Promise<Upstream> {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    return handler(request, response)
  })
  const listening = port ?? (await freePort())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(listening, '127.0.0.1', resolve)
  })
  return {
    port: listening,
    requests: () => requests,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
