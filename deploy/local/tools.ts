import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Tools } from './cluster.ts'

const root = join(import.meta.dirname, '../..')
/** Where programs are put that this project installs. */
export const ownTools = join(root, '.tools/bin')
const natsModule = 'github.com/nats-io/nats-server/v2@v2.15.2'
/** Atomic batches need it; older ones work without them. */
const wantedNats = [2, 12] as const

/** What is on this machine. @throws naming what is missing. */
export async function findTools(): Promise<Tools> {
  const nats = await newestNatsServer()
  const nginx = findNginx()
  if (!nats || !nginx)
    throw new Error(`Missing: ${[!nats && 'nats-server', !nginx && 'nginx'].filter(Boolean)}`)
  return { natsServer: nats.path, nginx }
}

/** Installs what is missing where that is possible. @throws saying what to install where it is not. */
export async function provideTools(say: (text: string) => void): Promise<Tools> {
  const nats = await provideNatsServer(say)
  const nginx = findNginx() ?? (await installNginx(say))
  if (!onPath('openssl')) {
    throw new Error('openssl is missing; it makes the development certificate. Install the package openssl.')
  }
  return { natsServer: nats, nginx }
}

async function provideNatsServer(say: (text: string) => void): Promise<string> {
  const found = await newestNatsServer()
  if (found && isRecent(found.version)) return found.path
  const go = onPath('go') ?? ['/usr/local/go/bin/go'].find((path) => existsSync(path))
  if (go) {
    say(`installing nats-server with \`go install ${natsModule}\` into .tools/bin (a minute or two, once)`)
    const result = await execa(go, ['install', natsModule], {
      env: { GOBIN: ownTools },
      reject: false,
      all: true,
    })
    if (!result.failed) return join(ownTools, 'nats-server')
    say(`that failed: ${result.all}`)
  }
  if (found) {
    say(`nats-server ${found.version.join('.')} is old: atomic batches need 2.12. Put a newer one on PATH.`)
    return found.path
  }
  throw new Error(
    'nats-server is missing. Put nats-server 2.12 or newer on PATH, or install Go (1.26 or newer) and run this again.',
  )
}

/** The newest nats-server on this machine, and its version; undefined when there is none. */
export async function newestNatsServer(): Promise<{ path: string; version: number[] } | undefined> {
  const folders = [ownTools, join(homedir(), 'go/bin'), ...(process.env.PATH ?? '').split(':')]
  const paths = new Set(
    folders.map((folder) => join(folder, 'nats-server')).filter((path) => existsSync(path)),
  )
  const found = await Promise.all(
    [...paths].map(async (path) => {
      const { stdout } = await execa(path, ['--version'], { reject: false })
      const numbers = /v?(\d+)\.(\d+)\.(\d+)/.exec(String(stdout))
      return { path, version: numbers ? numbers.slice(1).map(Number) : [0, 0, 0] }
    }),
  )
  return found.sort((a, b) => weight(b.version) - weight(a.version))[0]
}

const weight = ([major = 0, minor = 0, patch = 0]: number[]) => major * 1e6 + minor * 1e3 + patch

const isRecent = (version: number[]) => weight(version) >= weight([...wantedNats, 0])

function findNginx(): string | undefined {
  return onPath('nginx', ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'])
}

async function installNginx(say: (text: string) => void): Promise<string> {
  const how =
    'Install nginx 1.22 or newer (Debian, Ubuntu: apt-get install nginx-light; macOS: brew install nginx).'
  if (!canAptInstall()) throw new Error(`nginx is missing. ${how}`)
  const output = await aptInstall('nginx-light', say)
  const path = findNginx()
  if (!path) throw new Error(`apt-get could not install nginx. ${how}\n${output}`)
  return path
}

/** Whether this user may install packages here. */
export function canAptInstall(): boolean {
  return process.getuid?.() === 0 && onPath('apt-get') !== undefined
}

/** Installs a package without what it only recommends, and says so. @returns what apt-get said. */
export async function aptInstall(name: string, say: (text: string) => void): Promise<string> {
  say(`installing ${name} with apt-get`)
  const apt = async (...args: string[]) =>
    await execa('apt-get', args, { env: { DEBIAN_FRONTEND: 'noninteractive' }, reject: false, all: true })
  await apt('update')
  return (await apt('install', '-y', '--no-install-recommends', name)).all ?? ''
}

/** The program's path: on PATH, else in one of `more` folders. */
export function onPath(name: string, more: string[] = []): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''), ...more]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
