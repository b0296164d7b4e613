import { globSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { clusterSettings } from './cluster.ts'
import { composeLogs, useCompose } from './compose.ts'
import { readState } from './state.ts'

/** Follows the logs of the cluster until Ctrl-C; FOLLOW=0 prints the newest lines and returns. */
export async function logs(): Promise<void> {
  const follow = process.env.FOLLOW !== '0'
  const { runDir } = clusterSettings(process.env)
  if (!readState(runDir) && (await useCompose(process.env))) {
    return await composeLogs(follow)
  }
  const files = globSync(join(runDir, 'logs/*.log'))
  if (files.length === 0) return console.log('There are no logs yet; `make up` starts the cluster.')
  await execa('tail', ['-n', '20', ...(follow ? ['-F'] : []), ...files], { stdio: 'inherit', reject: false })
}
