import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A process and when it started: a number alone may belong to somebody else by now. */
export interface ProcessMark {
  pid: number
  started: string
}

export interface ProcessRecord extends ProcessMark {
  name: string
  restarts: number
  ports: Record<number, string>
  readyUrl: string
  stopStage: number
  stopTimeoutMs: number
}

export interface ClusterState {
  supervisor: ProcessMark
  processes: ProcessRecord[]
}

const file = (runDir: string) => join(runDir, 'state.json')

/** Undefined when there is none, or it can't be read. */
export function readState(runDir: string): ClusterState | undefined {
  try {
    return JSON.parse(readFileSync(file(runDir), 'utf8')) as ClusterState
  } catch {
    return undefined
  }
}

/** Replaces the state as a whole: a reader never sees half of it. */
export function writeState(runDir: string, state: ClusterState): void {
  mkdirSync(runDir, { recursive: true })
  const temporary = `${file(runDir)}.new`
  writeFileSync(temporary, `${JSON.stringify(state, null, 2)}\n`)
  renameSync(temporary, file(runDir))
}

export function removeState(runDir: string): void {
  rmSync(file(runDir), { force: true })
}

export function markOf(pid: number): ProcessMark {
  return { pid, started: startTime(pid) ?? 'gone' }
}

/** True while the very process that was marked runs. */
export function isAlive(mark: ProcessMark): boolean {
  return startTime(mark.pid) === mark.started
}

/**
 * True while the process or one that it started in its group runs. The system gives no new process the number of
 * an existing group, so a group without its leader is still the marked one's.
 */
export function isGroupAlive(mark: ProcessMark): boolean {
  const leader = startTime(mark.pid)
  if (leader !== undefined) return leader === mark.started
  return groupMembers(mark.pid).some((pid) => startTime(pid) !== undefined)
}

/** Undefined for a process that is gone, or a zombie that nobody has waited for. */
function startTime(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      // The name in parentheses may hold anything; the fields after it are fixed (proc(5)): state, …, start time.
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
    }
    const [state, ...started] = ps(['-o', 'stat=,lstart=', '-p', String(pid)])
      .trim()
      .split(/\s+/)
    return state?.startsWith('Z') ? undefined : started.join(' ')
  } catch {
    return undefined
  }
}

function groupMembers(group: number): number[] {
  return ps(['-eo', 'pid=,pgid='])
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, pgid]) => (pid !== undefined && pgid === group ? [pid] : []))
}

function ps(args: string[]): string {
  return execFileSync('ps', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}
