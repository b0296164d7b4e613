import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'

const ownTools = join(import.meta.dirname, '../../.tools/bin')
export const helmModule = 'helm.sh/helm/v4/cmd/helm@v4.3.1'

/** The path of a tool, on PATH or among those that this project has installed; undefined when it is not there. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':').filter((folder) => folder !== ''), ownTools]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

/** Helm 3 or 4; undefined when there is none. A program of the same name that is something else does not count. */
export async function findHelm(): Promise<string | undefined> {
  const path = findTool('helm')
  if (!path) return undefined
  const { stdout, failed } = await execa(path, ['version', '--short'], { reject: false })
  return !failed && /^v[34]\./.test(stdout) ? path : undefined
}

/** Installs Helm with Go where it is missing and Go is there. @returns its path; undefined when it could not. */
export async function provideHelm(say: (text: string) => void): Promise<string | undefined> {
  const found = await findHelm()
  if (found) return found
  const go = findTool('go') ?? ['/usr/local/go/bin/go'].find((path) => existsSync(path))
  if (!go) return undefined
  say(`installing helm with \`go install ${helmModule}\` into .tools/bin (a minute or two, once)`)
  const result = await execa(go, ['install', helmModule], {
    env: { GOBIN: ownTools, CGO_ENABLED: '0' },
    reject: false,
    all: true,
  })
  if (result.failed) say(`that failed: ${result.all}`)
  return await findHelm()
}
