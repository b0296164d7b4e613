import { clusterSettings } from './cluster.ts'
import { composeDown, useCompose } from './compose.ts'
import { isAlive, readState, removeState } from './state.ts'
import { gone, stopInOrder } from './stop.ts'

/** Above all stages of a stop together. */
const stopTimeoutMs = 120_000

/** Ends the cluster, gateways drained first. The log's data stay. Harmless when nothing runs. */
export async function down(): Promise<void> {
  const { runDir } = clusterSettings(process.env)
  const state = readState(runDir)
  if (!state) {
    if (await useCompose(process.env)) return await composeDown()
    return console.log('Nothing is running.')
  }
  if (isAlive(state.supervisor)) {
    console.log(
      'Ending the cluster: the demo and the publisher, then the gateways drain, then Nginx and NATS.',
    )
    process.kill(state.supervisor.pid, 'SIGTERM')
    await gone(state.supervisor, stopTimeoutMs)
  }
  // What is left when the supervisor was killed, now or before.
  const left = readState(runDir)
  if (left) await stopInOrder(left.processes, console.log)
  removeState(runDir)
  console.log('The cluster is down. Its data are kept; `make clean` removes them.')
}
