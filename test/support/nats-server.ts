import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { GenericContainer, type StartedTestContainer } from 'testcontainers'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

export interface NatsServerOptions {
  /** Text put at the end of the configuration file. */
  config?: string
  /** Folder of the log; a temporary one, removed by `stop`, unless told. */
  storeDir?: string
  port?: number
}

export interface NatsServer {
  url: string
  port: number
  /** Of the HTTP monitor: `/jsz?consumers=1`, `/connz`, `/healthz`. */
  monitorUrl: string
  storeDir: string
  /** SIGKILL: nothing is flushed or said goodbye to. */
  kill(): Promise<void>
  /** Ends the server (also one that was killed) and removes its temporary folder. */
  stop(): Promise<void>
  /** Starts it again, killing it before if it runs: same port, same folder. Returns when it is healthy. */
  restart(): Promise<void>
}

interface Runner {
  start(): Promise<void>
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

const image = process.env.TEST_NATS_IMAGE ?? 'nats:2.15.2-alpine'
let announced = false

/** Starts a real nats-server with JetStream and returns when it is healthy. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sse-cluster-nats-'))
  const storeDir = options.storeDir ?? join(folder, 'store')
  const port = options.port ?? (await freePort())
  const monitorPort = await freePort()
  const monitorUrl = `http://127.0.0.1:${monitorPort}`
  const inContainer = await useContainers()
  const configFile = join(folder, 'nats.conf')
  const listen = inContainer ? '0.0.0.0' : '127.0.0.1'
  await writeFile(
    configFile,
    `listen: "${listen}:${port}"\nhttp: "${listen}:${monitorPort}"\n` +
      `jetstream { store_dir: "${storeDir}" }\n${options.config ?? ''}\n`,
  )
  const runner = inContainer
    ? containerRunner(folder, storeDir, configFile, [port, monitorPort])
    : processRunner(configFile)
  const healthy = () =>
    waitUntil(async () => (await fetch(`${monitorUrl}/healthz`)).ok, {
      what: `nats-server on port ${port} to be healthy`,
    })
  await runner.start()
  await healthy()
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    monitorUrl,
    storeDir,
    kill: () => runner.end('SIGKILL'),
    async stop() {
      await runner.end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },
    async restart() {
      await runner.end('SIGKILL')
      await runner.start()
      await healthy()
    },
  }
}

/** Path of the nats-server on this machine. @throws when there is none. */
export function findNatsServer(): string {
  const folders = [
    ...(process.env.PATH ?? '').split(':'),
    join(import.meta.dirname, '../../.tools/bin'),
    join(homedir(), 'go/bin'),
  ]
  const found = folders.map((folder) => join(folder, 'nats-server')).find((path) => existsSync(path))
  if (!found)
    throw new Error(
      'No nats-server: put it on PATH, or `go install github.com/nats-io/nats-server/v2@v2.15.2`',
    )
  return found
}

/** TEST_CONTAINERS=1 or 0 decides; otherwise containers are used where a Docker engine answers. */
async function useContainers(): Promise<boolean> {
  const wish = process.env.TEST_CONTAINERS
  const result = wish
    ? wish === '1'
    : !(await execa('docker', ['version'], { reject: false, timeout: 5000 })).failed
  if (!announced) console.info(`nats-server for tests: ${result ? `container ${image}` : findNatsServer()}`)
  announced = true
  return result
}

function processRunner(configFile: string): Runner {
  // execa ends it when the test process ends, however a test fails.
  const launch = () => execa(findNatsServer(), ['-c', configFile], { reject: false, stdio: 'ignore' })
  let server: ReturnType<typeof launch> | undefined
  return {
    async start() {
      server = launch()
    },
    async end(signal) {
      server?.kill(signal)
      await server
      server = undefined
    },
  }
}

function containerRunner(folder: string, storeDir: string, configFile: string, ports: number[]): Runner {
  let server: StartedTestContainer | undefined
  return {
    async start() {
      server = await new GenericContainer(image)
        .withCommand(['-c', configFile])
        .withExposedPorts(...ports.map((port) => ({ container: port, host: port })))
        // The same paths inside and outside, so that a restarted container finds the log.
        .withBindMounts([...new Set([folder, storeDir])].map((path) => ({ source: path, target: path })))
        .start()
    },
    async end(signal) {
      await execa('docker', ['kill', '-s', signal, server?.getId() ?? ''], { reject: false })
      await server?.stop({ timeout: 10_000 })
      server = undefined
    },
  }
}
