import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { GenericContainer, type StartedTestContainer } from 'testcontainers'
import { newestNatsServer } from '../../deploy/local/tools.ts'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

export interface NatsServerOptions {
  /** Text put at the end of the configuration file. */
  config?: string
  /** Folder of the log; a temporary one, removed by `stop`, unless told. */
  storeDir?: string
  port?: number
  /** Path of the nats-server to start, where it is not to be the newest. */
  program?: string
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

/** Starts a real nats-server with JetStream and returns when it is healthy. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sse-cluster-nats-'))
  const storeDir = options.storeDir ?? join(folder, 'store')
  const port = options.port ?? (await freePort())
  const monitorPort = await freePort()
  const monitorUrl = `http://127.0.0.1:${monitorPort}`
  const inContainer = options.program === undefined && (await useContainers())
  const configFile = join(folder, 'nats.conf')
  const listen = inContainer ? '0.0.0.0' : '127.0.0.1'
  await writeFile(
    configFile,
    `listen: "${listen}:${port}"\nhttp: "${listen}:${monitorPort}"\n` +
      `jetstream { store_dir: "${storeDir}" }\n${options.config ?? ''}\n`,
  )
  const runner = inContainer
    ? containerRunner(folder, storeDir, configFile, [port, monitorPort])
    : processRunner(configFile, options.program)
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

/** Path of the newest nats-server on this machine. @throws when there is none. */
async function findNatsServer(): Promise<string> {
  const found = await newestNatsServer()
  if (!found)
    throw new Error(
      'No nats-server: put it on PATH, or `go install github.com/nats-io/nats-server/v2@v2.15.2`',
    )
  return found.path
}

let choice: Promise<boolean> | undefined

/**
 * Whether nats-server runs in a container: where none is on this machine, and a Docker engine answers that has the
 * image or can get it. TEST_CONTAINERS=1 or 0 decides otherwise. Prints which it is, once.
 */
function useContainers(): Promise<boolean> {
  choice ??= chooseContainers()
  return choice
}

async function chooseContainers(): Promise<boolean> {
  const wish = process.env.TEST_CONTAINERS
  const inContainers = wish ? wish === '1' : !(await newestNatsServer()) && (await imageIsThere())
  console.info(
    `nats-server for tests: ${inContainers ? `container ${image}` : await findNatsServer()} (TEST_CONTAINERS=1 or 0 chooses)`,
  )
  return inContainers
}

async function imageIsThere(): Promise<boolean> {
  const docker = async (args: string[], timeout: number) =>
    !(await execa('docker', args, { reject: false, timeout })).failed
  if (!(await docker(['version'], 5_000))) return false
  return (await docker(['image', 'inspect', image], 5_000)) || (await docker(['pull', image], 50_000))
}

function processRunner(configFile: string, program?: string): Runner {
  // execa ends it when the test process ends, however a test fails.
  const launch = (path: string) => execa(path, ['-c', configFile], { reject: false, stdio: 'ignore' })
  let server: ReturnType<typeof launch> | undefined
  return {
    async start() {
      server = launch(program ?? (await findNatsServer()))
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
