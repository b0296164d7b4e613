import type { Connections } from './connections.ts'
import type { LogTail } from './log-tail.ts'
import type { RecentLog } from './recent-log.ts'
import type { Replay } from './replay.ts'
import type { Router } from './router.ts'
import type { SubscriberState } from './subscriber.ts'

export interface ReadingsOptions {
  connections: Connections
  router: Router
  recentLog: RecentLog
  /** Both come only when NATS has been reached. */
  tail: () => LogTail | undefined
  replay: () => Replay | undefined
  draining: () => boolean
}

/** What is read when somebody scrapes, instead of being counted on the way. */
export class Readings {
  private readonly options: ReadingsOptions
  /** When the tail was last seen to lack nothing, milliseconds since 1970. */
  private caughtUpMs = Date.now()

  constructor(options: ReadingsOptions) {
    this.options = options
  }

  /** Once a second: notes whether the tail has caught up. */
  tick(nowMs: number): void {
    const { tail } = this
    if (tail?.ready && tail.lostSince === undefined && tail.lag === 0) this.caughtUpMs = nowMs
  }

  get connections(): Record<SubscriberState, number> {
    const counts = { live: 0, behind: 0, blocked: 0, early: 0, replaying: 0, closed: 0 }
    for (const { state } of this.options.connections.all) counts[state]++
    return counts
  }

  /** Sequences between the log's newest that this pod has read and the stream that is furthest behind it. */
  get behindEvents(): number {
    const { head } = this.options.recentLog
    let lowest = head
    for (const { state, position } of this.options.connections.all)
      if (state !== 'live' && position < lowest) lowest = position
    return head - lowest
  }

  get counters(): Router['counters'] {
    return this.options.router.counters
  }

  get groups(): number {
    return this.options.router.groups.size
  }

  get tailLag(): number {
    return this.tail?.lag ?? 0
  }

  /**
   * How old what live streams get is, at most. Not simply the age of the newest event read, since after a quiet hour
   * the first event of a burst would make that an hour.
   */
  get tailLagSeconds(): number {
    const nowMs = Date.now()
    this.tick(nowMs)
    const { tail, caughtUpMs } = this
    if (!tail || caughtUpMs === nowMs) return tail ? 0 : (nowMs - caughtUpMs) / 1000
    const newestMs = tail.lostSince === undefined ? (tail.positionTimeMs ?? 0) : 0
    return Math.max(0, nowMs - Math.max(newestMs, caughtUpMs)) / 1000
  }

  get tailPosition(): number {
    return this.options.recentLog.head
  }

  get tailReopened(): number {
    return this.tail?.reopened ?? 0
  }

  get recentLogBytes(): number {
    return this.options.recentLog.bytes
  }

  get recentLogAgeSeconds(): number {
    const { oldestTimeMs } = this.options.recentLog
    return oldestTimeMs === undefined ? 0 : (Date.now() - oldestTimeMs) / 1000
  }

  get recentLogEvents(): number {
    return this.options.recentLog.head - this.options.recentLog.floor
  }

  get unsentBytes(): number {
    return this.options.connections.heldBytes
  }

  get replayWaiting(): number {
    return this.options.replay()?.waiting.size ?? 0
  }

  get draining(): boolean {
    return this.options.draining()
  }

  get drainRemaining(): number {
    return this.draining ? this.options.connections.all.size : 0
  }

  private get tail(): LogTail | undefined {
    return this.options.tail()
  }
}
