import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { execa } from 'execa'

const root = join(import.meta.dirname, '../..')
const ownTools = join(root, '.tools/bin')
const ownHelm3 = join(root, '.tools/helm3')
const helmModule = 'helm.sh/helm/v4/cmd/helm@v4.3.1'
const helm3Module = 'helm.sh/helm/v3/cmd/helm@v3.22.0'

/** The path of a tool, on PATH or among those that this project has installed; undefined when it is not there. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''), ownTools]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/** Helm 3 or 4; undefined when there is none. A program of the same name that is something else does not count. */
export async function findHelm(): Promise<string | undefined> {
  const path = findTool('helm')
  return path && (await isHelm(path, /^v[34]\./)) ? path : undefined
}

/** Helm 3 beside Helm 4, for the tests; undefined when it is not there. */
export async function findHelm3(): Promise<string | undefined> {
  const path = join(ownHelm3, 'helm')
  return existsSync(path) && (await isHelm(path, /^v3\./)) ? path : undefined
}

async function isHelm(path: string, version: RegExp): Promise<boolean> {
  const { stdout, failed } = await execa(path, ['version', '--short'], { reject: false })
  return !failed && version.test(stdout)
}

/** Installs Helm with Go where it is missing and Go is there. @returns its path; undefined when it could not. */
export async function provideHelm(say: (text: string) => void): Promise<string | undefined> {
  const found = await findHelm()
  if (found) return found
  await install(helmModule, ownTools, say)
  return await findHelm()
}

/** The same for Helm 3. */
export async function provideHelm3(say: (text: string) => void): Promise<string | undefined> {
  const found = await findHelm3()
  if (found) return found
  await install(helm3Module, ownHelm3, say)
  return await findHelm3()
}

async function install(module: string, folder: string, say: (text: string) => void): Promise<void> {
  const go = findTool('go') ?? ['/usr/local/go/bin/go'].find((path) => existsSync(path))
  if (!go) return
  say(`installing ${module} with Go into ${relative(root, folder)} (a minute or two, once)`)
  const env = { GOBIN: folder, CGO_ENABLED: '0' }
  const result = await execa(go, ['install', module], { env, reject: false, all: true })
  if (result.failed) say(`that failed: ${result.all}`)
}
