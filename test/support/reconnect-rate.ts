import type { Swarm } from './swarm.ts'

const sampleMs = 100
const windowSamples = 10

/** Watches how many clients of a swarm come back per second. */
export class ReconnectRate {
  private readonly counts: number[] = []
  private readonly timer: NodeJS.Timeout
  private readonly swarm: Swarm

  constructor(swarm: Swarm) {
    this.swarm = swarm
    this.counts.push(swarm.ledger().reconnects)
    this.timer = setInterval(() => this.counts.push(swarm.ledger().reconnects), sampleMs)
  }

  /** Ends, and tells the sum and the most in any second. */
  stop(): { reconnects: number; mostPerSecond: number } {
    clearInterval(this.timer)
    this.counts.push(this.swarm.ledger().reconnects)
    const { counts } = this
    const rates = counts.map((count, i) => count - (counts[Math.max(0, i - windowSamples)] as number))
    return {
      reconnects: (counts.at(-1) as number) - (counts[0] as number),
      mostPerSecond: Math.max(...rates),
    }
  }
}
