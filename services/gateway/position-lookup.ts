/** Look-ups under way at a time, each a consumer for a moment. */
const maxAtOnce = 4
/** What comes before a time that has passed stays what it is, until the log is replaced. */
const keptMs = 1_000

/**
 * Finds positions in the stream by time, for `since` beyond the recent log. Those who ask for the same time within
 * a second share one look-up, and different times wait for each other, so a storm of clients costs a handful of
 * consumers.
 */
export class PositionLookup {
  private readonly read: (timeMs: number) => Promise<number>
  private readonly known = new Map<string, Promise<number>>()
  private readonly queue: (() => void)[] = []
  private running = 0

  /** `read` finds the position before the first event stored at `timeMs` or later. */
  constructor(read: (timeMs: number) => Promise<number>) {
    this.read = read
  }

  /** The position at `timeMs` in the log’s incarnation `epoch`. @throws when JetStream does not answer. */
  at(epoch: string, timeMs: number): Promise<number> {
    const key = `${epoch} ${timeMs}`
    const known = this.known.get(key)
    if (known) return known
    const answer = this.inTurn(timeMs)
    this.known.set(key, answer)
    const forget = () => this.known.delete(key)
    answer.then(() => setTimeout(forget, keptMs).unref(), forget)
    return answer
  }

  private async inTurn(timeMs: number): Promise<number> {
    if (this.running === maxAtOnce) await new Promise<void>((resolve) => this.queue.push(resolve))
    else this.running++
    try {
      return await this.read(timeMs)
    } finally {
      const next = this.queue.shift()
      if (next) next()
      else this.running--
    }
  }
}
