import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { clusterProcesses, clusterSettings, type LocalProcess } from './cluster.ts'
import { ending, launch } from './launch.ts'
import { monitoringProcesses } from './monitoring.ts'
import { markOf, type ProcessRecord, removeState, writeState } from './state.ts'
import { killGroup, stopInOrder } from './stop.ts'
import { findTools } from './tools.ts'

// Runs detached from `make up`: starts the cluster's processes, starts again what dies, writes down who they are
// so that `make down` can end them even when this process was killed. SIGTERM ends the cluster in order.

const shortestPauseMs = 500
const longestPauseMs = 10_000
/** Who ran this long did not fail at the start: the pauses begin anew. */
const steadyMs = 10_000

const settings = clusterSettings(process.env)
const processes = [...clusterProcesses(settings, await findTools()), ...monitoringProcesses(settings)]
const records = new Map<string, ProcessRecord>()
const supervisor = markOf(process.pid)
let stopping = false

const say = (text: string) => console.log(`${new Date().toISOString()} ${text}`)

function save(): void {
  writeState(settings.runDir, { supervisor, processes: [...records.values()] })
}

async function keepRunning(item: LocalProcess): Promise<void> {
  let pauseMs = shortestPauseMs
  for (let restarts = 0; !stopping; restarts++) {
    const startedAt = performance.now()
    const how = await runOnce(item, restarts)
    if (stopping) return
    pauseMs = performance.now() - startedAt > steadyMs ? shortestPauseMs : pauseMs
    say(`${item.name} ended (${how}); starting it again in ${pauseMs} ms`)
    await sleep(pauseMs)
    pauseMs = Math.min(pauseMs * 2, longestPauseMs)
  }
}

/** Resolves when the process has ended, with the way it did. */
async function runOnce(item: LocalProcess, restarts: number): Promise<string> {
  const child = launch(item.command, item.args, item.env, join(settings.runDir, 'logs', `${item.name}.log`))
  const ended = ending(child)
  if (child.pid !== undefined) {
    const { name, ports, readyUrl, stopStage, stopTimeoutMs } = item
    const record = { name, ...markOf(child.pid), restarts, ports, readyUrl, stopStage, stopTimeoutMs }
    records.set(name, record)
    save()
    say(`${name} started, pid ${child.pid}`)
  }
  const how = await ended
  const record = records.get(item.name)
  // Nginx's workers outlive a killed master, and would go on serving beside the new ones.
  if (record && !stopping) killGroup(record)
  return how
}

async function stop(): Promise<void> {
  if (stopping) return
  stopping = true
  say('stopping')
  await stopInOrder([...records.values()], say)
  removeState(settings.runDir)
  say('stopped')
  process.exit(0)
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop())
// The terminal that started the cluster may close.
process.on('SIGHUP', () => {})
mkdirSync(join(settings.runDir, 'logs'), { recursive: true })
save()
await Promise.all(processes.map(keepRunning))
