import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

/**
 * Starts a process that outlives this one, in a group of its own so that what it starts can be found. Its output
 * goes to the file itself and not through a pipe (which is why this is not execa): logs go on when this process is
 * gone.
 */
export function launch(
  command: string,
  args: string[],
  env: Record<string, string>,
  logFile: string,
): ChildProcess {
  const log = openSync(logFile, 'a')
  try {
    return spawn(command, args, { env, stdio: ['ignore', log, log], detached: true })
  } finally {
    closeSync(log)
  }
}

/** Resolves with the way it ended: a signal, an exit code, or why it could not start. */
export async function ending(child: ChildProcess): Promise<string> {
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`))
  })
}
