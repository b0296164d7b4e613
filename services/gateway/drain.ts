import type { Connections } from './connections.ts'

export interface DrainOptions {
  connections: Connections
  windowMs: number
  /** How long streams that are still behind at the end of the window may take to catch up. */
  graceMs: number
}

const tickMs = 50

/**
 * Ends all streams, spread evenly over a window, so that their clients come back one after another instead of at
 * once. A stream that is behind gets its events first.
 *
 *   1. window   each tick asks its share of the streams to end: live ones at once, others when they are live
 *   2. grace    wait for those still behind
 *   3. abort    what is left
 *
 * Resolves when no stream is left.
 */
export async function drain({ connections, windowMs, graceMs }: DrainOptions): Promise<void> {
  const begun = performance.now()
  const asked = new Set<unknown>()
  while (connections.all.size > 0) {
    const elapsed = performance.now() - begun
    const left = [...connections.all].filter((connection) => !asked.has(connection))
    const ticksLeft = Math.max(1, Math.ceil((windowMs - elapsed) / tickMs))
    for (const connection of left.slice(0, Math.ceil(left.length / ticksLeft))) {
      asked.add(connection)
      if (connection.state === 'live') connection.close('draining')
      else connection.closeWhenLive = 'draining'
    }
    if (elapsed > windowMs + graceMs) for (const connection of connections.all) connection.abort('draining')
    await new Promise((resolve) => setTimeout(resolve, tickMs))
  }
}
