import { clusterSettings } from './cluster.ts'
import { composeStatus, useCompose } from './compose.ts'
import { isReady } from './readiness.ts'
import { isAlive, readState } from './state.ts'

/** Prints one line per process. Sets exit code 1 when the cluster is not up or not all of it is ready. */
export async function status(): Promise<void> {
  const state = readState(clusterSettings(process.env).runDir)
  if (!state) {
    if (await useCompose(process.env)) {
      if (!(await composeStatus())) process.exitCode = 1
      return
    }
    console.log('Nothing is running; `make up` starts the cluster.')
    process.exitCode = 1
    return
  }
  const rows = await Promise.all(
    state.processes.map(async (record) => {
      const alive = isAlive(record)
      const ready = alive && (await isReady(record.readyUrl))
      return [
        record.name,
        alive ? String(record.pid) : '-',
        ready ? 'ready' : alive ? 'not ready' : 'down',
        String(record.restarts),
        Object.entries(record.ports)
          .map(([port, purpose]) => `${port} ${purpose}`)
          .join(', '),
      ]
    }),
  )
  printTable([['PROCESS', 'PID', 'STATE', 'RESTARTS', 'PORTS'], ...rows])
  if (!isAlive(state.supervisor)) {
    console.log('The supervisor is gone: nothing is started again when it dies. `make up` repairs that.')
  }
  if (!isAlive(state.supervisor) || rows.some((row) => row[2] !== 'ready')) process.exitCode = 1
}

function printTable(rows: string[][]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  }
}
