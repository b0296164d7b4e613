import type { TopicSet } from './topic-set.ts'

/** Some bytes to send, and the position that a reader has once it has them. */
export interface Chunk {
  /** Undefined when none of the events that were passed are the reader's. */
  bytes: Buffer | undefined
  events: number
  position: number
}

/** Selections kept per page: each may be as large as the page. */
const maxSelections = 32

interface Selection {
  bytes: Buffer
  sequences: number[]
  starts: number[]
}

/**
 * A run of encoded events in log order, in one piece of memory: the unit in which the recent log grows, forgets
 * and is read, and in which replay reads the stream.
 */
export class Page {
  /** Every event after this sequence and up to `last` that the log holds is in the page. */
  readonly floor: number
  last: number
  readonly memory: Buffer
  used = 0
  readonly sequences: number[] = []
  readonly starts: number[] = []
  readonly times: number[] = []
  private readonly byTopic = new Map<string, number[]>()
  private selections: Map<TopicSet, Selection> | undefined
  private sealed = false

  constructor(floor: number, capacityBytes: number) {
    this.floor = floor
    this.last = floor
    this.memory = Buffer.allocUnsafeSlow(capacityBytes)
  }

  get count(): number {
    return this.sequences.length
  }

  hasRoom(bytes: number): boolean {
    return this.used + bytes <= this.memory.length
  }

  /** Appends an event. The caller has checked the room and the order. */
  append(sequence: number, topic: string, timeMs: number, frame: Uint8Array): void {
    const index = this.sequences.length
    this.memory.set(frame, this.used)
    this.sequences.push(sequence)
    this.starts.push(this.used)
    this.times.push(timeMs)
    this.used += frame.length
    this.last = sequence
    const indexes = this.byTopic.get(topic)
    if (indexes) indexes.push(index)
    else this.byTopic.set(topic, [index])
  }

  /** Nothing will be appended any more; from now on selections are kept for the next reader. */
  seal(): void {
    this.sealed = true
  }

  /** Forgets the kept selections, which may be as large as the page itself. */
  forgetSelections(): void {
    this.selections = undefined
  }

  /** The events of `topics` after `from` and up to `to`, joined; readers of the same topics share the bytes. */
  read(topics: TopicSet, from: number, to: number): Chunk {
    const position = Math.min(to, this.last)
    const begin = firstAfter(this.sequences, from)
    const end = firstAfter(this.sequences, position)
    if (begin >= end) return { bytes: undefined, events: 0, position }
    if (topics.everything) return { bytes: this.slice(begin, end), events: end - begin, position }
    if (!this.sealed) {
      const indexes = this.indexesOf(topics).filter((index) => index >= begin && index < end)
      return { bytes: this.join(indexes), events: indexes.length, position }
    }
    const selection = this.selection(topics)
    const first = firstAfter(selection.sequences, from)
    const after = firstAfter(selection.sequences, position)
    if (first === after) return { bytes: undefined, events: 0, position }
    const bytes = selection.bytes.subarray(
      selection.starts[first],
      selection.starts[after] ?? selection.bytes.length,
    )
    return { bytes, events: after - first, position }
  }

  private selection(topics: TopicSet): Selection {
    const known = this.selections?.get(topics)
    if (known) return known
    const indexes = this.indexesOf(topics)
    const starts: number[] = []
    let length = 0
    for (const index of indexes) {
      starts.push(length)
      length += this.endOf(index) - (this.starts[index] as number)
    }
    const sequences = indexes.map((index) => this.sequences[index] as number)
    const selection = { bytes: this.join(indexes) ?? Buffer.alloc(0), sequences, starts }
    if (!this.selections || this.selections.size >= maxSelections) this.selections = new Map()
    this.selections.set(topics, selection)
    return selection
  }

  private indexesOf(topics: TopicSet): number[] {
    const found: number[][] = []
    if (topics.patterns.length === 0 && topics.topics.length < this.byTopic.size) {
      for (const topic of topics.topics) {
        const indexes = this.byTopic.get(topic)
        if (indexes) found.push(indexes)
      }
    } else {
      for (const [topic, indexes] of this.byTopic) if (topics.includes(topic)) found.push(indexes)
    }
    if (found.length <= 1) return found[0] ?? []
    return found.flat().sort((a, b) => a - b)
  }

  private join(indexes: readonly number[]): Buffer | undefined {
    const first = indexes[0]
    if (first === undefined) return undefined
    // A run without holes is already joined.
    if ((indexes.at(-1) as number) - first === indexes.length - 1)
      return this.slice(first, first + indexes.length)
    return Buffer.concat(indexes.map((index) => this.slice(index, index + 1)))
  }

  private slice(begin: number, end: number): Buffer {
    return this.memory.subarray(this.starts[begin], this.endOf(end - 1))
  }

  private endOf(index: number): number {
    return this.starts[index + 1] ?? this.used
  }
}

/** Index of the first entry greater than `value` in an ascending list; its length when there is none. */
export function firstAfter(ascending: readonly number[], value: number): number {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((ascending[middle] as number) > value) high = middle
    else low = middle + 1
  }
  return low
}
