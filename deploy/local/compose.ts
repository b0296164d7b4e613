import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { execa } from 'execa'
import { type ClusterSettings, clusterPorts, clusterSettings } from './cluster.ts'
import { type ComposeConfig, provideGrafanaPassword, requireGrace, requireSameLog } from './compose-checks.ts'
import { requireFreePorts } from './ports.ts'

// How `make` drives the Compose deployment where a Docker engine answers.

const folder = join(import.meta.dirname, '../compose')
const secretsInContainer = '/run/secrets/'
/** From the images being there to all containers being healthy. */
const readyTimeoutSeconds = 180

/** True where a Docker engine with Compose answers, unless a setting asks for local processes. */
export async function useCompose(environment: NodeJS.ProcessEnv): Promise<boolean> {
  if (environment.LOCAL === '1') return false
  for (const command of [['version'], ['compose', 'version']]) {
    const { failed } = await execa('docker', command, { reject: false, timeout: 10_000 })
    if (failed) return false
  }
  return true
}

/**
 * The settings that Compose will see: `deploy/compose/.env` below the environment. A secret in a file is named by
 * its path on this machine, since here it serves to make tokens.
 *
 * @throws when PORT_SHIFT is bad.
 */
export function composeSettings(environment: NodeJS.ProcessEnv): ClusterSettings {
  const settings = withEnvFile(environment)
  if (settings.JWT_SECRET?.startsWith(secretsInContainer)) {
    const name = settings.JWT_SECRET.slice(secretsInContainer.length)
    settings.JWT_SECRET = resolve(folder, settings.SECRETS_FOLDER || 'secrets', name)
  }
  return clusterSettings(settings)
}

function withEnvFile(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const file = join(folder, '.env')
  return { ...(existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {}), ...environment }
}

/** Where Nginx is published: HTTP_PORT and TLS_PORT, else the usual ports moved by PORT_SHIFT. */
export function composePorts(settings: ClusterSettings): { http: number; tls: number } {
  const { HTTP_PORT, TLS_PORT } = settings.environment
  const { http, tls } = clusterPorts(settings)
  return { http: Number(HTTP_PORT || http), tls: Number(TLS_PORT || tls) }
}

/**
 * Builds the images and starts what is not running, or not as the settings want it. Returns when all is healthy.
 *
 * @throws naming a busy port, or what did not become healthy.
 */
export async function composeUp(settings: ClusterSettings): Promise<void> {
  const { http, tls } = composePorts(settings)
  await requireFreePorts([
    {
      name: 'nginx',
      ports: {
        ...((await isOurs(8080, http)) ? {} : { [http]: 'HTTP' }),
        ...((await isOurs(8443, tls)) ? {} : { [tls]: 'TLS' }),
      },
    },
  ])
  const { AUTH_MODE, PUBLISHER_TOKEN, PROBE_TOKEN, DEMO, PROBER } = settings.environment
  // Without a token they could only be refused, for ever.
  const wanted = (token: string | undefined) => (AUTH_MODE === 'jwt' && !token ? '0' : '1')
  const environment = {
    ...{ HTTP_PORT: String(http), TLS_PORT: String(tls) },
    ...{ DEMO: DEMO || wanted(PUBLISHER_TOKEN), PROBER: PROBER || wanted(PROBE_TOKEN) },
    ...(PUBLISHER_TOKEN ? { PUBLISHER_TOKEN } : {}),
    ...(PROBE_TOKEN ? { PROBE_TOKEN } : {}),
  }
  await check(environment)
  await buildImages()
  const wait = ['--wait', '--wait-timeout', String(readyTimeoutSeconds)]
  const { failed } = await compose(['up', '--detach', '--remove-orphans', ...wait], environment)
  if (!failed) return
  await compose(['ps', '--all'], environment)
  await compose(['logs', '--tail', '3'], environment)
  throw new Error('Not all of the cluster came up. See `make logs`; `make down` ends it.')
}

/** Looks for what would go wrong later, and provides Grafana's password. @throws naming it. */
async function check(environment: Record<string, string>): Promise<void> {
  const { stdout, stderr, failed } = await execa('docker', composeArguments(['config', '--format', 'json']), {
    cwd: folder,
    env: environment,
    reject: false,
  })
  if (failed) throw new Error(`Compose refuses its settings:\n${stderr}`)
  const config = JSON.parse(stdout) as ComposeConfig
  requireGrace(config)
  const { stdout: volumes } = await execa('docker', ['volume', 'ls', '--quiet'])
  requireSameLog(config, volumes.split('\n'))
  provideGrafanaPassword(config)
}

/** Quietly: a hundred lines that say nothing when all is well. @throws with them when it is not. */
async function buildImages(): Promise<void> {
  console.log('Building the images; the first time this takes minutes.')
  const { failed, all } = await execa('docker', composeArguments(['build']), {
    cwd: folder,
    all: true,
    reject: false,
  })
  if (failed) throw new Error(`The images can't be built:\n${all}`)
}

/** Ends the cluster: first what publishes, while the gateways drain, and Nginx only after them. Data stay. */
export async function composeDown(): Promise<void> {
  // `down` alone begins with Nginx, and cuts the streams that are being drained.
  const stopped = await compose(['stop', 'prober', 'demo', 'publisher', 'gateway'])
  // Else what was started with the profile would stay.
  const down = await compose(['down', '--remove-orphans'], { COMPOSE_PROFILES: 'monitoring' })
  if (stopped.failed || down.failed) throw new Error('Docker Compose could not end the cluster.')
}

/** Prints a line per container. @returns whether the cluster is up and all of it healthy. */
export async function composeStatus(): Promise<boolean> {
  const { stdout } = await execa('docker', composeArguments(['ps', '--all', '--format', 'json']), {
    cwd: folder,
  })
  const containers = stdout.split('\n').filter((line) => line !== '')
  if (containers.length === 0) {
    console.log('Nothing is running; `make up` starts the cluster.')
    return false
  }
  await compose(['ps', '--all'])
  return containers.every((line) => {
    const { Health, State } = JSON.parse(line) as { Health?: string; State?: string }
    // An image without a program to ask with has no health check.
    return Health === 'healthy' || (!Health && State === 'running')
  })
}

/** Shows the newest log lines of all containers, and those that come where `follow` asks for it. */
export async function composeLogs(follow: boolean): Promise<void> {
  await compose(['logs', '--tail', '20', ...(follow ? ['--follow'] : [])])
}

/** Runs `docker compose` with this terminal. */
async function compose(command: string[], environment: Record<string, string> = {}) {
  // In its folder, where the file .env lies.
  return await execa('docker', composeArguments(command), {
    cwd: folder,
    env: environment,
    stdio: 'inherit',
    reject: false,
  })
}

function composeArguments(command: string[]): string[] {
  return [
    'compose',
    ...composeFiles(process.env).flatMap((name) => ['--file', join(folder, name)]),
    ...command,
  ]
}

/** @throws when NATS_NODES is neither 1 nor 3. */
function composeFiles(environment: NodeJS.ProcessEnv): string[] {
  const nodes = withEnvFile(environment).NATS_NODES || '1'
  if (nodes === '1') return ['compose.yaml']
  if (nodes === '3') return ['compose.yaml', 'nats-cluster.yaml']
  throw new Error(`NATS_NODES: "${nodes}" must be 1 or 3`)
}

/** True when this cluster's own Nginx is published at `port`. */
async function isOurs(containerPort: number, port: number): Promise<boolean> {
  const command = composeArguments(['port', 'nginx', String(containerPort)])
  const { stdout } = await execa('docker', command, { cwd: folder, reject: false })
  return String(stdout).endsWith(`:${port}`)
}
