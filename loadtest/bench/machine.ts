import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { execa } from 'execa'
import type { Tools } from '../../deploy/local/cluster.ts'
import { canPin } from './child.ts'
import { nchanModule } from './nchan.ts'

/** What the figures were measured on and with. */
export interface Machine {
  processor: string
  cores: number
  memoryGigabytes: number
  kernel: string
  pinned: boolean
  /** Average of runnable processes over the last minute, before the run: above 0.5 others were at work too. */
  load: number
  commit: string
  versions: Record<string, string>
}

export async function describeMachine(tools: Tools): Promise<Machine> {
  const say = async (command: string, args: string[]) => {
    const { all } = await execa(command, args, { reject: false, all: true })
    return String(all ?? '').trim()
  }
  const commit = await say('git', ['rev-parse', '--short', 'HEAD'])
  const changed = await say('git', ['status', '--porcelain', '--', 'services', 'nginx'])
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    pinned: canPin,
    load: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
    commit: changed === '' ? commit : `${commit} with changes`,
    versions: {
      node: process.version,
      'nats-server': (await say(tools.natsServer, ['--version'])).replace(/^.*v/, ''),
      nginx: (await say(tools.nginx, ['-v'])).replace(/^.*nginx\//, ''),
      nchan: nchanModule() ? 'installed' : 'not installed',
    },
  }
}
