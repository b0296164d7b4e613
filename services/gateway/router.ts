import { Flush, type FlushCounters } from './flush.ts'
import { Heartbeat } from './heartbeat.ts'
import type { RecentLog } from './recent-log.ts'
import { Group, type Subscriber } from './subscriber.ts'
import { TopicIndex } from './topic-index.ts'
import { TopicSet } from './topic-set.ts'

export interface RouterOptions {
  recentLog: RecentLog
  /** Takes over a subscriber whose position lies before the recent log's floor. */
  replay: (subscriber: Subscriber) => void
  /** Encodes a heartbeat for a position. */
  heartbeat: (position: number) => Buffer
}

/**
 * The router takes events to subscribers. What it knows of a subscriber is a position and a place to write.
 *
 *   1. behind     reads the recent log from its position, one page a turn
 *   2. live       has everything up to the boundary; gets each flush
 *   3. blocked    its socket pushes back; left alone until it drains, then behind again
 *   4. early      its position is ahead of this pod's tail; waits for the tail
 *   5. replaying  its position has fallen off the recent log; in replay's hands until it is back
 *   6. closed
 *
 * Subscribers with equal topics form a group. The events of one turn of the event loop leave together: each group's
 * are joined once, and the same bytes are written to all its live members.
 *
 * Pure: no I/O, no clock. Whoever drives it calls `step` until there is nothing more to do.
 */
export class Router {
  /** Live subscribers have been sent everything up to here, or are being sent it by the flush under way. */
  boundary = 0
  /** Live subscribers have been sent everything up to here: the end of the last flush that is done. */
  flushedTo = 0
  /** Bytes of frames that wait for the next flush. */
  unflushedBytes = 0
  readonly groups = new Map<string, Group>()
  readonly counters: FlushCounters = {
    flushes: 0,
    joins: 0,
    writes: 0,
    deliveredEvents: 0,
    deliveredBytes: 0,
  }
  private readonly log: RecentLog
  private readonly options: RouterOptions
  private readonly index = new TopicIndex<Group>()
  private dirty: Group[] = []
  private flush: Flush | undefined
  private serial = 0
  private beating: Heartbeat | undefined
  private behind: Subscriber[] = []
  private behindIndex = 0
  /** Subscribers ahead of this pod’s tail. */
  readonly early = new Set<Subscriber>()

  constructor(options: RouterOptions) {
    this.log = options.recentLog
    this.options = options
  }

  /** The group of these topics; made when it is the first. Balance with `leave`. */
  join(wanted: readonly string[]): Group {
    const topics = new TopicSet(wanted)
    let group = this.groups.get(topics.key)
    if (!group) {
      group = new Group(topics, this.log.head)
      this.groups.set(topics.key, group)
      this.index.add(topics, group)
    }
    group.size++
    return group
  }

  /** Forgets a subscriber, in whatever state it is. */
  leave(subscriber: Subscriber): void {
    if (subscriber.state === 'closed') return
    this.takeOut(subscriber)
    subscriber.state = 'closed'
    const { group } = subscriber
    if (--group.size === 0) {
      this.groups.delete(group.topics.key)
      this.index.remove(group.topics, group)
    }
  }

  /** Lets a subscriber read on from its position, wherever that is. */
  resume(subscriber: Subscriber): void {
    this.takeOut(subscriber)
    if (subscriber.position > this.boundary) {
      subscriber.state = 'early'
      this.early.add(subscriber)
    } else if (subscriber.position < this.log.floor) {
      subscriber.state = 'replaying'
      subscriber.fellBehind()
      this.options.replay(subscriber)
    } else {
      subscriber.state = 'behind'
      this.behind.push(subscriber)
    }
  }

  /** The subscriber's socket pushes back: nothing is written to it until `drained`. */
  block(subscriber: Subscriber): void {
    // A write that fails closes the connection from inside; it has left then.
    if (subscriber.state === 'closed') return
    this.takeOut(subscriber)
    subscriber.state = 'blocked'
  }

  /** The subscriber's socket takes more again. */
  drained(subscriber: Subscriber): void {
    if (subscriber.state === 'blocked') this.resume(subscriber)
  }

  /** An event has been appended to the recent log: it goes out with the next flush. */
  append(sequence: number, topic: string, frame: Buffer): void {
    this.index.match(topic, (group) => {
      if (group.newest === sequence) return
      group.newest = sequence
      if (group.frames) group.frames.push(frame)
      else {
        group.frames = [frame]
        this.dirty.push(group)
      }
    })
    this.unflushedBytes += frame.length
  }

  /** Counts what replay has written. */
  countReplayed(events: number, bytes: number): void {
    this.counters.writes++
    this.counters.deliveredEvents += events
    this.counters.deliveredBytes += bytes
  }

  /** Every live subscriber is told its position, as soon as there is time. */
  heartbeat(): void {
    this.beating ??= new Heartbeat(this.groups.values())
  }

  /**
   * The log starts anew behind `position` (another incarnation, or a hole in what the tail could read). Nothing
   * that was not flushed goes out. Every subscriber is taken out of its list and keeps the position that it had;
   * the caller gives each a new one and resumes it (a blocked one when it drains).
   */
  restart(position: number, subscribers: Iterable<Subscriber>): void {
    for (const group of this.dirty) group.frames = undefined
    for (const group of this.groups.values()) {
      group.newest = 0
      group.since = position
    }
    this.dirty = []
    this.behind = []
    this.behindIndex = 0
    this.unflushedBytes = 0
    for (const subscriber of subscribers) {
      if (subscriber.state === 'closed') continue
      this.takeOut(subscriber)
      if (subscriber.state !== 'blocked') subscriber.state = 'behind'
    }
    this.flush = undefined
    this.beating = undefined
    this.boundary = position
    this.flushedTo = position
  }

  /** Everything up to this has surely been written to the subscriber, and nothing after it. */
  positionOf(subscriber: Subscriber): number {
    if (subscriber.state !== 'live') return subscriber.position
    if (this.flush && subscriber.flushed !== this.flush.serial) return this.flush.from
    return this.boundary
  }

  /** True when `step` has something to do. */
  get busy(): boolean {
    return this.flushing || this.beating !== undefined || this.behindIndex < this.behind.length
  }

  /** True while events wait for live subscribers. */
  get flushing(): boolean {
    return this.flush !== undefined || this.boundary < this.log.head
  }

  /** Does up to about `budget` small writes, or as much work: flushes first, then heartbeats, then catching up. */
  step(budget: number): void {
    let left = budget
    if (!this.flush && this.flushing) this.beginFlush()
    if (this.flush) left = this.continueFlush(this.flush, left)
    // These get a share even when flushes never end.
    const share = budget >> 2
    if (this.beating) left = this.continueHeartbeat(this.beating, Math.max(left, share))
    left = Math.max(left, share)
    while (left > 0 && this.behindIndex < this.behind.length) {
      left -= this.catchUp(this.behind[this.behindIndex++] as Subscriber)
    }
    if (this.behindIndex > 1024 || this.behindIndex === this.behind.length) {
      this.behind.splice(0, this.behindIndex)
      this.behindIndex = 0
    }
  }

  private beginFlush(): void {
    const span = { serial: ++this.serial, from: this.boundary, to: this.log.head }
    this.flush = new Flush(span, this.dirty, this.counters, (subscriber) => this.block(subscriber))
    this.dirty = []
    this.unflushedBytes = 0
    this.boundary = this.log.head
  }

  private continueFlush(flush: Flush, budget: number): number {
    const left = flush.step(budget)
    if (flush.done) {
      this.flush = undefined
      this.flushedTo = flush.to
      this.releaseEarly()
    }
    return left
  }

  private continueHeartbeat(heartbeat: Heartbeat, budget: number): number {
    // At most two: one for those whom the flush under way has served already, one for the others.
    const blocks = new Map<number, Buffer>()
    const left = heartbeat.step(budget, (subscriber) => {
      const position = this.positionOf(subscriber)
      const block = blocks.get(position) ?? this.options.heartbeat(position)
      blocks.set(position, block)
      this.counters.writes++
      this.counters.deliveredBytes += block.length
      if (!subscriber.write(block)) this.block(subscriber)
    })
    if (heartbeat.done) this.beating = undefined
    return left
  }

  /** Returns what it took, in small writes. */
  private catchUp(subscriber: Subscriber): number {
    if (subscriber.state !== 'behind') return 1
    if (subscriber.position < this.log.floor) this.resume(subscriber)
    else if (subscriber.position >= this.boundary) this.enterLive(subscriber)
    else return this.readOn(subscriber)
    return 1
  }

  private readOn(subscriber: Subscriber): number {
    const chunk = this.log.read(subscriber.group.topics, subscriber.position, this.boundary)
    subscriber.position = chunk.position
    if (chunk.bytes) {
      this.counters.writes++
      this.counters.deliveredEvents += chunk.events
      this.counters.deliveredBytes += chunk.bytes.length
      if (!subscriber.write(chunk.bytes)) {
        this.block(subscriber)
        return smallWrites(chunk.bytes.length)
      }
    }
    if (subscriber.position >= this.boundary) this.enterLive(subscriber)
    else this.behind.push(subscriber)
    return smallWrites(chunk.bytes?.length ?? 0)
  }

  private enterLive(subscriber: Subscriber): void {
    // Its group was made while a flush is under way, and lacks what the next flush has for everybody else: that it
    // must read from the recent log.
    if (subscriber.group.since > this.boundary) {
      subscriber.state = 'early'
      this.early.add(subscriber)
      return
    }
    subscriber.state = 'live'
    subscriber.flushed = this.serial
    subscriber.group.enter(subscriber)
    if (!subscriber.becameLive(subscriber.position)) this.block(subscriber)
  }

  private releaseEarly(): void {
    for (const subscriber of this.early) if (subscriber.position <= this.boundary) this.resume(subscriber)
  }

  /** Removes a subscriber from the lists of its state. A member of `behind` is passed over when its turn comes. */
  private takeOut(subscriber: Subscriber): void {
    if (subscriber.state === 'live') {
      subscriber.position = this.positionOf(subscriber)
      subscriber.group.exit(subscriber)
    } else if (subscriber.state === 'early') {
      this.early.delete(subscriber)
    }
  }
}

/** As how many small writes one of so many bytes counts: 64 KB to a socket take some ten times as long as 200 bytes. */
function smallWrites(bytes: number): number {
  return 1 + (bytes >> 13)
}
