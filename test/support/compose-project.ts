import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { useCompose } from '../../deploy/local/compose.ts'
import { freePort } from './ports.ts'

const root = join(import.meta.dirname, '../..')
const deploy = join(root, 'deploy')

/** The Compose deployment, through the same `make` as everybody's, as a project of its own on ports of its own. */
export class ComposeProject {
  readonly port: number
  readonly tlsPort: number
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
    this.environment = {
      COMPOSE_PROJECT_NAME: `sse-cluster-test-${process.pid}-${this.port}`,
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
    return new ComposeProject(runDir, [await freePort(), await freePort()], files, settings)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  run(command: string, args: string[]) {
    return execa(command, args, { cwd: root, env: this.environment, reject: false, all: true })
  }

  make(target: string) {
    return this.run('make', [target])
  }

  compose(...args: string[]) {
    return this.run('docker', ['compose', ...this.files, ...args])
  }

  /** Identifiers of the running containers of a service. */
  async containers(service = ''): Promise<string[]> {
    const { stdout } = await this.compose('ps', '--quiet', ...(service ? [service] : []))
    return stdout.split('\n').filter((id) => id !== '')
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    await this.compose('down', '--volumes', '--timeout', '5')
    await rm(this.runDir, { recursive: true, force: true })
  }
}

/** Undefined where containers can be run: an engine answers, and every public image is there or can be pulled. */
export async function whyNoContainers(): Promise<string | undefined> {
  if (!(await useCompose({}))) return 'no Docker engine with Compose answers'
  const dockerfiles = ['services', 'nginx'].map((name) =>
    readFileSync(join(deploy, `images/${name}.Dockerfile`), 'utf8'),
  )
  const bases = dockerfiles.flatMap((text) =>
    [...text.matchAll(/^FROM ([\w./-]+:[\w.-]+)/gm)].map(([, name]) => name as string),
  )
  // Without the profiles: who does not ask for Grafana needs no image of it.
  const config = ['compose', '--file', join(deploy, 'compose/compose.yaml'), 'config', '--images']
  const { stdout } = await execa('docker', config, { env: { COMPOSE_PROFILES: '' } })
  const named = stdout.split('\n').filter((image) => image.includes(':'))
  for (const image of new Set([...bases, ...named])) {
    if (!(await execa('docker', ['image', 'inspect', image], { reject: false })).failed) continue
    const pull = await execa('docker', ['pull', '--quiet', image], { reject: false, timeout: 120_000 })
    if (pull.failed) return `the image ${image} is not here and can't be pulled`
  }
  return undefined
}
