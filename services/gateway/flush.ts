import type { Group, Subscriber } from './subscriber.ts'

export interface FlushCounters {
  flushes: number
  /** Times that frames were joined: once per group and flush. */
  joins: number
  writes: number
  deliveredEvents: number
  deliveredBytes: number
}

/** Which part of the log a flush carries: after `from`, up to `to`. */
export interface FlushSpan {
  serial: number
  from: number
  to: number
}

/**
 * One round in which the events that had arrived go out: each group's frames are joined when its turn comes, and the
 * same bytes are written to every live member. It can be done in steps; whoever becomes live meanwhile carries its
 * serial and is passed over, and what arrives meanwhile is the next flush's.
 */
export class Flush {
  readonly serial: number
  readonly from: number
  readonly to: number
  done = false
  private readonly groups: readonly Group[]
  private readonly frames: (readonly Buffer[])[]
  private readonly counters: FlushCounters
  private readonly block: (subscriber: Subscriber) => void
  private groupIndex = 0
  /** Next member, counted down; -1 before the group has begun. */
  private memberIndex = -1
  private joined: Buffer | undefined

  /**
   * Takes the frames out of `groups`, which have some. `block` is told of each member whose socket pushes back.
   */
  constructor(
    span: FlushSpan,
    groups: readonly Group[],
    counters: FlushCounters,
    block: (subscriber: Subscriber) => void,
  ) {
    this.serial = span.serial
    this.from = span.from
    this.to = span.to
    this.groups = groups
    this.frames = groups.map((group) => group.frames as Buffer[])
    for (const group of groups) group.frames = undefined
    this.counters = counters
    this.block = block
    counters.flushes++
  }

  /** Does up to `budget` writes, and returns how many it left undone. */
  step(budget: number): number {
    let left = budget
    while (this.groupIndex < this.groups.length) {
      const group = this.groups[this.groupIndex] as Group
      const frames = this.frames[this.groupIndex] as readonly Buffer[]
      if (this.memberIndex < 0) {
        this.memberIndex = group.live.length
        this.joined = group.live.length > 0 ? this.join(frames) : undefined
      }
      if (this.joined) {
        left = this.write(group, this.joined, frames.length, left)
        if (this.memberIndex > 0) return 0
      }
      this.groupIndex++
      this.memberIndex = -1
      if (left <= 0 && this.groupIndex < this.groups.length) return 0
    }
    this.done = true
    return left
  }

  /** Counts down, so that a member which leaves is replaced by one that has been written already. */
  private write(group: Group, bytes: Buffer, events: number, budget: number): number {
    let left = budget
    let written = 0
    let index = this.memberIndex
    while (left > 0) {
      // Members may leave between steps, and inside a write.
      index = Math.min(index, group.live.length)
      if (index === 0) break
      const subscriber = group.live[--index] as Subscriber
      if (subscriber.flushed === this.serial) continue
      subscriber.flushed = this.serial
      subscriber.position = this.to
      left--
      written++
      if (!subscriber.write(bytes)) this.block(subscriber)
    }
    this.memberIndex = index
    this.counters.writes += written
    this.counters.deliveredEvents += written * events
    this.counters.deliveredBytes += written * bytes.length
    return left
  }

  private join(frames: readonly Buffer[]): Buffer {
    if (frames.length === 1) return frames[0] as Buffer
    this.counters.joins++
    return Buffer.concat(frames)
  }
}
