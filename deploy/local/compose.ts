import { join } from 'node:path'
import { execa } from 'execa'

const file = join(import.meta.dirname, '../compose/compose.yaml')

/** True where a Docker engine with Compose answers, unless a setting asks for local processes. */
export async function useCompose(environment: NodeJS.ProcessEnv): Promise<boolean> {
  if (environment.LOCAL === '1' || environment.PORT_SHIFT || environment.RUN_DIR) return false
  for (const command of [['info'], ['compose', 'version']]) {
    const { failed } = await execa('docker', command, { reject: false, timeout: 10_000 })
    if (failed) return false
  }
  return true
}

/** Runs `docker compose` on the cluster's file, with this terminal. @throws when it fails. */
export async function compose(...args: string[]): Promise<void> {
  await execa('docker', ['compose', '--file', file, ...args], { stdio: 'inherit' })
}
