import { type EventId, parseEventId } from '../contract/event-id.ts'

interface Canary {
  /** When its last attempt began, ms of a monotonic clock. */
  publishedAt: number
  /** Once the log has acknowledged it. */
  id?: EventId
  storedAt?: number
  receivedAt?: number
  lost?: true
}

/** What the arrival of a canary was. */
export interface Arrival {
  kind: 'first' | 'late' | 'duplicate' | 'unknown'
  /** From its last attempt to publish; only for a first arrival. */
  latencyMs: number
  outOfOrder: boolean
}

const remembered = 10_000

/** Which canaries were published, and what became of each. Pure: time is passed in, in ms of a monotonic clock. */
export class Ledger {
  private readonly canaries = new Map<number, Canary>()
  private readonly lostAfterMs: number
  private newest: EventId | undefined

  constructor(lostAfterMs: number) {
    this.lostAfterMs = lostAfterMs
  }

  /** An attempt to publish canary `n` begins, the first or another. */
  begin(n: number, now: number): void {
    const canary = this.canaries.get(n)
    if (canary) canary.publishedAt = now
    else this.canaries.set(n, { publishedAt: now })
    if (this.canaries.size > remembered) this.canaries.delete(this.canaries.keys().next().value as number)
  }

  /** The log has acknowledged canary `n`: from now on it must come. */
  stored(n: number, id: string, now: number): void {
    const canary = this.canaries.get(n)
    const eventId = parseEventId(id)
    if (!canary || !eventId) return
    canary.id = eventId
    canary.storedAt = now
  }

  receive(n: number, id: string, now: number): Arrival {
    const outOfOrder = !this.advance(parseEventId(id))
    const canary = this.canaries.get(n)
    if (!canary) return { kind: 'unknown', latencyMs: 0, outOfOrder }
    // Its id was seen already, which is no breach of order as well.
    if (canary.receivedAt !== undefined) return { kind: 'duplicate', latencyMs: 0, outOfOrder: false }
    canary.receivedAt = now
    return { kind: canary.lost ? 'late' : 'first', latencyMs: now - canary.publishedAt, outOfOrder }
  }

  /** Canaries that count as lost from now on. */
  expire(now: number): number[] {
    const lost: number[] = []
    for (const [n, canary] of this.awaited()) {
      if (now - (canary.storedAt as number) < this.lostAfterMs) continue
      canary.lost = true
      lost.push(n)
    }
    return lost
  }

  /** How long the canary that is awaited longest has been stored, ms; 0 when none is awaited. */
  longestAwaitedMs(now: number): number {
    let longest = 0
    for (const [, { storedAt }] of this.awaited()) longest = Math.max(longest, now - (storedAt as number))
    return longest
  }

  /** Canaries of the log after position `from`, up to `to`, that have not come. */
  missing(from: string, to: string): number[] {
    const [first, last] = [parseEventId(from), parseEventId(to)]
    const missing: number[] = []
    if (!first || !last || first.epoch !== last.epoch) return missing
    for (const [n, { id, receivedAt }] of this.canaries) {
      if (receivedAt !== undefined || id?.epoch !== last.epoch) continue
      if (id.sequence > first.sequence && id.sequence <= last.sequence) missing.push(n)
    }
    return missing
  }

  /** Stored, not received, not yet given up. */
  private *awaited(): Iterable<[number, Canary]> {
    for (const entry of this.canaries) {
      const { storedAt, receivedAt, lost } = entry[1]
      if (storedAt !== undefined && receivedAt === undefined && !lost) yield entry
    }
  }

  /** Whether `id` is above all that came before it. Another epoch begins anew; the stream has said so. */
  private advance(id: EventId | undefined): boolean {
    if (!id) return false
    const ahead = this.newest?.epoch !== id.epoch || id.sequence > this.newest.sequence
    if (ahead) this.newest = id
    return ahead
  }
}
