import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { execa } from 'execa'
import { onPath } from '../deploy/local/tools.ts'

const root = join(import.meta.dirname, '..')
const extension = join(root, 'loadtest/extension')
const reports = join(root, 'loadtest/reports')

/** How k6 with the extension is started here. */
export interface K6Program {
  /**
   * Command and arguments, which arguments of k6 follow; paths in them are relative to the checkout. The settings with
   * these names reach the scripts, with the values that the process has. `file`: one more file that they read, by its
   * absolute path.
   */
  command(settings: string[], file?: string): string[]
  how: 'go' | 'docker'
}

/**
 * k6 with the extension: built by Go into `.tools/k6` (once per state of the sources), else as an image where Docker
 * answers. K6_FROM=docker takes the image even where Go is. @throws saying what to install where neither is there.
 */
export async function provideK6(say: (text: string) => void): Promise<K6Program> {
  const hash = await hashOfSources()
  const go = process.env.K6_FROM === 'docker' ? undefined : onPath('go', ['/usr/local/go/bin'])
  if (go) {
    const program = await buildWithGo(go, hash, say)
    return { command: () => [program], how: 'go' }
  }
  if (await dockerAnswers()) {
    const image = await buildImage(hash, say)
    return { command: (settings, file) => inContainer(image, settings, file), how: 'docker' }
  }
  throw new Error('k6 is built with Go 1.26 or newer, or in Docker; neither is here. Install one of them.')
}

async function hashOfSources(): Promise<string> {
  const names = await readdir(extension, { recursive: true })
  const hash = createHash('sha256')
  for (const name of names.filter((file) => /(\.go|^go\.(mod|sum))$/.test(file)).sort()) {
    if (!name.endsWith('_test.go')) hash.update(`${name}\n`).update(await readFile(join(extension, name)))
  }
  return hash.digest('hex').slice(0, 16)
}

async function buildWithGo(go: string, hash: string, say: (text: string) => void): Promise<string> {
  const program = join(root, '.tools/k6', hash, 'k6')
  if (existsSync(program)) return program
  say('building k6 with the extension into .tools/k6 (some minutes the first time)')
  // Another run may build at the same time: each has a file of its own until it is whole.
  const unfinished = `${program}.${process.pid}`
  await mkdir(dirname(program), { recursive: true })
  const result = await execa(go, ['build', '-trimpath', '-ldflags=-s -w', '-o', unfinished, '.'], {
    cwd: extension,
    reject: false,
    all: true,
  })
  if (result.failed) {
    await rm(unfinished, { force: true })
    throw new Error(`k6 could not be built:\n${result.all}`)
  }
  await rename(unfinished, program)
  return program
}

async function dockerAnswers(): Promise<boolean> {
  return !(await execa('docker', ['info'], { reject: false })).failed
}

async function buildImage(hash: string, say: (text: string) => void): Promise<string> {
  const image = `sse-cluster-k6:${hash}`
  if ((await execa('docker', ['image', 'inspect', image], { reject: false })).failed) {
    say(`building the image ${image} (some minutes the first time)`)
    const file = join(root, 'deploy/images/k6.Dockerfile')
    // For machines behind a module proxy of their own.
    const proxies = ['GOPROXY', 'GOSUMDB'].filter((name) => process.env[name])
    const more = [
      ...proxies.flatMap((name) => ['--build-arg', name]),
      ...(process.env.K6_BUILD_OPTIONS?.split(' ') ?? []),
    ]
    const result = await execa('docker', ['build', ...more, '-f', file, '-t', image, root], {
      reject: false,
      all: true,
    })
    if (result.failed) throw new Error(`The image could not be built:\n${result.all}`)
  }
  return image
}

/** The scripts are those of the checkout, and reports belong to who runs this. Go raises the limit of descriptors. */
function inContainer(image: string, settings: string[], file?: string): string[] {
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`
  return [
    ...['docker', 'run', '--rm', '--network=host', `--user=${user}`],
    ...settings.flatMap((name) => ['--env', name]),
    ...(file ? ['--volume', `${file}:${file}:ro`] : []),
    ...['--volume', `${join(root, 'loadtest')}:/load/loadtest:ro`],
    ...['--volume', `${reports}:/load/${relative(root, reports)}`, '--workdir=/load', image],
  ]
}
