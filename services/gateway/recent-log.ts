import { type Chunk, firstAfter, Page } from './page.ts'
import type { TopicSet } from './topic-set.ts'

export interface RecentLogOptions {
  /** Most bytes of encoded events that are kept. */
  maxBytes: number
  pageBytes?: number
}

/**
 * The newest events, encoded, in a ring of pages bounded by bytes. It is everybody's queue: a connection is no more
 * than a position in it. Pure: no I/O, and time comes from the events.
 */
export class RecentLog {
  private pages: Page[] = []
  private readonly maxBytes: number
  private readonly pageBytes: number
  /** Everything after this position, up to `head`, is held. */
  floor = 0
  /** The newest sequence. */
  head = 0
  /** Bytes of memory held. */
  bytes = 0
  /** Pages that keep selections, oldest first: a bound on what the selections add. */
  private selecting: Page[] = []

  constructor(options: RecentLogOptions) {
    this.maxBytes = options.maxBytes
    this.pageBytes = Math.min(options.pageBytes ?? 65_536, options.maxBytes)
  }

  /** Empties the log; the next event comes after `position`. */
  restart(position: number): void {
    this.pages = []
    this.selecting = []
    this.bytes = 0
    this.floor = position
    this.head = position
  }

  append(sequence: number, topic: string, timeMs: number, frame: Uint8Array): void {
    if (sequence <= this.head)
      throw new Error(`Sequence ${sequence} does not follow ${this.head}: the log tail is broken.`)
    let page = this.pages.at(-1)
    if (!page?.hasRoom(frame.length)) {
      page?.seal()
      page = new Page(this.head, Math.max(this.pageBytes, frame.length))
      this.pages.push(page)
      this.bytes += page.memory.length
      this.forget()
    }
    page.append(sequence, topic, timeMs, frame)
    this.head = sequence
  }

  /**
   * The next events of `topics` after `from`, at most one page of them. Call again from the chunk's position until
   * that is `to`. `from` must not lie before the floor, nor `to` behind the head.
   */
  read(topics: TopicSet, from: number, to: number): Chunk {
    const page = this.pageAfter(from)
    if (!page) return { bytes: undefined, events: 0, position: to }
    if (this.selecting.at(-1) !== page) this.keepSelections(page)
    return page.read(topics, from, to)
  }

  /**
   * The position just before the first event stored at `timeMs` or later. Undefined when that lies before the
   * floor, so that only the stream itself can tell.
   */
  positionAt(timeMs: number): number | undefined {
    const oldest = this.pages[0]
    if (!oldest || (oldest.times[0] as number) >= timeMs) return undefined
    const page = this.pages.findLast((candidate) => (candidate.times[0] as number) < timeMs) as Page
    const index = firstAfter(page.times, timeMs - 1)
    return index === 0 ? page.floor : (page.sequences[index - 1] as number)
  }

  /** When the oldest event held was stored, milliseconds since 1970; undefined when there is none. */
  get oldestTimeMs(): number | undefined {
    return this.pages[0]?.times[0]
  }

  private pageAfter(position: number): Page | undefined {
    let low = 0
    let high = this.pages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.pages[middle] as Page).last > position) high = middle
      else low = middle + 1
    }
    return this.pages[low]
  }

  private forget(): void {
    while (this.bytes > this.maxBytes && this.pages.length > 1) {
      const oldest = this.pages.shift() as Page
      this.bytes -= oldest.memory.length
      this.floor = oldest.last
    }
  }

  private keepSelections(page: Page): void {
    this.selecting = this.selecting.filter((other) => other !== page)
    this.selecting.push(page)
    if (this.selecting.length > 16) this.selecting.shift()?.forgetSelections()
  }
}
