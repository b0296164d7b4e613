import type { TopicSet } from './topic-set.ts'

/** Where a subscriber stands; `router.ts` says what each state means. */
export type SubscriberState = 'behind' | 'live' | 'blocked' | 'early' | 'replaying' | 'closed'

/** What the router knows of a subscriber: a position, and a place to write. */
export interface Subscriber {
  readonly group: Group
  state: SubscriberState
  /** Everything up to this sequence has been written. While live, the router's boundary counts instead. */
  position: number
  /** The router's own: place among the group's live members, and the last flush that was written. */
  liveIndex: number
  flushed: number
  /** Writes; returns false when the reader pushes back. Nothing more is written until `router.drained`. */
  write(bytes: Buffer): boolean
  /** Told each time the subscriber becomes live; may write one last thing, with `write`’s result. */
  becameLive(position: number): boolean
  /** Told when its position has fallen off the recent log. */
  fellBehind(): void
}

const nobody: readonly Subscriber[] = Object.freeze([])

/**
 * Subscribers with equal topics: what goes to one live member goes to all, as the same bytes. There may be a group
 * for each connection, so an empty list is made only when it is needed.
 */
export class Group {
  readonly topics: TopicSet
  live: readonly Subscriber[] = nobody
  /** Subscribers in any state. */
  size = 0
  /** Frames since the last flush, and the sequence of the newest, so that two matching patterns add it once. */
  frames: Buffer[] | undefined
  newest = 0
  /** The log's head when the group was made: the frames of what came before are not in `frames`. */
  since: number

  constructor(topics: TopicSet, since: number) {
    this.topics = topics
    this.since = since
  }

  /** Adds a live member. */
  enter(subscriber: Subscriber): void {
    subscriber.liveIndex = this.live.length
    // Written out, a list has room for just one; the first push would make room for 17.
    if (this.live.length === 0) this.live = [subscriber]
    else (this.live as Subscriber[]).push(subscriber)
  }

  /** Takes a live member out; the last one moves to its place. */
  exit(subscriber: Subscriber): void {
    const live = this.live as Subscriber[]
    const last = live.pop() as Subscriber
    if (last === subscriber) return
    live[subscriber.liveIndex] = last
    last.liveIndex = subscriber.liveIndex
  }
}
