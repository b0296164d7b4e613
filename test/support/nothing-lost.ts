import { expect } from 'vitest'
import type { SteadyPublisher } from './steady-publisher.ts'
import type { Swarm } from './swarm.ts'

/**
 * Ends the publishing and waits until all has arrived, once and in order. `moved` clients at least had to come back, else it was no test of resuming.
 */
export async function expectNothingLost(swarm: Swarm, publishing: SteadyPublisher, moved = 0): Promise<void> {
  const published = await publishing.stop()
  await swarm.untilAll(published)
  swarm.close()
  const ledger = swarm.ledger()
  console.log(`ledger: ${JSON.stringify(ledger)}`)
  expect(ledger).toMatchObject({ lost: 0, duplicated: 0, gaps: 0, lowest: published, highest: published })
  expect(ledger.reconnects).toBeGreaterThanOrEqual(moved)
}
