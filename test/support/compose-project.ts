import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { useCompose } from '../../deploy/local/compose.ts'
import { freePort } from './ports.ts'
import { Swarm } from './swarm.ts'
import { waitUntil } from './wait.ts'

const root = join(import.meta.dirname, '../..')
const deploy = join(root, 'deploy')

/** The Compose deployment, through the same `make` as everybody's, as a project of its own on ports of its own. */
export class ComposeProject {
  readonly port: number
  readonly tlsPort: number
  /** Of its own, so that what a test does to it is no concern of the images that stand on this machine. */
  readonly servicesImage: string
  /** Mounted at /run/secrets; empty. */
  readonly secrets: string
  private readonly files: string[]
  private readonly runDir: string
  private readonly environment: Record<string, string>

  private constructor(
    runDir: string,
    ports: [number, number],
    files: string[],
    settings: Record<string, string>,
  ) {
    this.runDir = runDir
    ;[this.port, this.tlsPort] = ports
    this.files = files.flatMap((file) => ['--file', join(deploy, 'compose', file)])
    const name = `sse-cluster-test-${process.pid}-${this.port}`
    this.servicesImage = `${name}-services:1`
    this.secrets = join(runDir, 'secrets')
    this.environment = {
      SECRETS_FOLDER: this.secrets,
      ...{ COMPOSE_PROJECT_NAME: name, SERVICES_IMAGE: this.servicesImage },
      ...{ HTTP_PORT: String(this.port), TLS_PORT: String(this.tlsPort) },
      // So that a local cluster of this checkout is no concern of these.
      RUN_DIR: runDir,
      ...{ LOCAL: '', GATEWAYS: '2', AUTH_MODE: 'off' },
      ...{ RETRY_MIN_MS: '50', RETRY_MAX_MS: '500', DRAIN_WINDOW_MS: '2000' },
      ...settings,
    }
  }

  static async create(
    settings: Record<string, string> = {},
    files = ['compose.yaml'],
  ): Promise<ComposeProject> {
    const runDir = await mkdtemp(join(tmpdir(), 'sse-cluster-compose-'))
    await mkdir(join(runDir, 'secrets'))
    return new ComposeProject(runDir, [await freePort(), await freePort()], files, settings)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** With `settings` above those of the project. */
  run(command: string, args: string[], settings: Record<string, string> = {}) {
    const env = { ...this.environment, ...settings }
    return execa(command, args, { cwd: root, env, reject: false, all: true })
  }

  make(target: string, settings: Record<string, string> = {}) {
    return this.run('make', [target], settings)
  }

  compose(...args: string[]) {
    return this.composeWith({}, ...args)
  }

  composeWith(settings: Record<string, string>, ...args: string[]) {
    return this.run('docker', ['compose', ...this.files, ...args], settings)
  }

  /** Identifiers of the running containers of a service. */
  async containers(service = ''): Promise<string[]> {
    const { stdout } = await this.compose('ps', '--quiet', ...(service ? [service] : []))
    return stdout.split('\n').filter((id) => id !== '')
  }

  /** `count` gateways are there, and each has streams: Nginx found them all. */
  async untilAllServe(count: number): Promise<void> {
    let streams: number[] = []
    await waitUntil(
      async () => {
        // New streams show where Nginx sends them; those that are open stay where they are.
        const fresh = new Swarm(this.port, 'fresh.%3E', 4 * count)
        await fresh.open()
        streams = await Promise.all((await this.containers('gateway')).map((id) => this.openStreams(id)))
        fresh.close()
        return streams.length === count && streams.every((open) => open > 0)
      },
      {
        timeoutMs: 30_000,
        get what() {
          return `streams on ${count} gateways (they have ${streams.join(', ')})`
        },
      },
    )
  }

  private async openStreams(gateway: string): Promise<number> {
    const script = "fetch('http://127.0.0.1:9100/metrics').then((a) => a.text()).then(console.log)"
    const { stdout } = await this.run('docker', ['exec', gateway, 'node', '-e', script])
    const counts = stdout.matchAll(/^sse_connections(?:\{.*\})? (\d+)$/gm)
    return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
  }

  /** Ends it and removes its data and images. */
  async remove(): Promise<void> {
    await this.composeWith({ COMPOSE_PROFILES: 'monitoring' }, 'down', '--volumes', '--timeout', '5')
    const repository = this.servicesImage.replace(/:.*/, '')
    const { stdout } = await this.run('docker', [
      'image',
      'ls',
      '--format',
      '{{.Repository}}:{{.Tag}}',
      repository,
    ])
    const images = stdout.split('\n').filter((image) => image !== '')
    if (images.length > 0) await this.run('docker', ['image', 'rm', '--force', ...images])
    await rm(this.runDir, { recursive: true, force: true })
  }
}

/**
 * Undefined where containers can be run: an engine answers, and every public image is there or can be pulled. Those of
 * the profile monitoring only as far as `services` names them: who does not ask for Grafana needs no image of it.
 */
export async function whyNoContainers(services: string[] = []): Promise<string | undefined> {
  if (!(await useCompose({}))) return 'no Docker engine with Compose answers'
  const dockerfiles = ['services', 'nginx'].map((name) =>
    readFileSync(join(deploy, `images/${name}.Dockerfile`), 'utf8'),
  )
  const bases = dockerfiles.flatMap((text) =>
    [...text.matchAll(/^ARG \w+_IMAGE=([\w./-]+:[\w.-]+)$/gm)].map(([, name]) => name as string),
  )
  const config = ['compose', '--file', join(deploy, 'compose/compose.yaml'), 'config', '--images']
  const images = async (profile: string, names: string[]) => {
    const { stdout } = await execa('docker', [...config, ...names], { env: { COMPOSE_PROFILES: profile } })
    return stdout.split('\n').filter((image) => image.includes(':'))
  }
  const named = await images('', [])
  if (services.length > 0) named.push(...(await images('monitoring', services)))
  for (const image of new Set([...bases, ...named])) {
    if (!(await execa('docker', ['image', 'inspect', image], { reject: false })).failed) continue
    const pull = await execa('docker', ['pull', '--quiet', image], { reject: false, timeout: 120_000 })
    if (pull.failed) return `the image ${image} is not here and can't be pulled`
  }
  return undefined
}
