import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, isGroupAlive, type ProcessMark, type ProcessRecord } from './state.ts'

/**
 * Ends `records` stage by stage: SIGTERM, and SIGKILL to what is left of the process and its own children after
 * its time. Only processes that are the recorded ones are touched.
 */
export async function stopInOrder(records: ProcessRecord[], say: (text: string) => void): Promise<void> {
  const stages = Map.groupBy(records, (record) => record.stopStage)
  for (const stage of [...stages.keys()].sort((a, b) => a - b)) {
    await Promise.all((stages.get(stage) ?? []).map((record) => stopOne(record, say)))
  }
}

async function stopOne(record: ProcessRecord, say: (text: string) => void): Promise<void> {
  // Left behind by a killed leader, such as Nginx's workers: nobody is there to end them gently.
  if (!isAlive(record)) return killGroup(record)
  signal(record.pid, 'SIGTERM')
  if (await gone(record, record.stopTimeoutMs)) return say(`${record.name} has ended`)
  killGroup(record)
  await gone(record, 5_000)
  say(`${record.name} did not end in ${record.stopTimeoutMs} ms and was killed`)
}

/** SIGKILL for a process and what it started, such as Nginx's workers, which outlive a killed master. */
export function killGroup(mark: ProcessMark): void {
  if (isGroupAlive(mark)) signal(-mark.pid, 'SIGKILL')
}

/** False when the group still runs after `timeoutMs`. */
export async function gone(mark: ProcessMark, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (isGroupAlive(mark)) {
    if (performance.now() > deadline) return false
    await sleep(50)
  }
  return true
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Gone in the meantime, or a leader that is gone while its group is not; what remains is killed by group.
  }
}
