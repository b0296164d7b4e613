import type { Router } from './router.ts'

export interface FlusherOptions {
  router: Router
  /** Frames that may wait to be flushed before the log tail is told to pause. */
  maxUnflushedBytes: number
  pause: () => void
  unpause: () => void
  /** An event has been written to all its live subscribers, this long after the log stored it. */
  onFlushed: (latencyMs: number) => void
  /** A flush of noted events has ended. `elapsedMs` includes what the loop did between its slices. */
  onFlush: (elapsedMs: number, events: number) => void
}

/** Writes between two looks at the clock, and how long one slice of work may take. */
const writesPerStep = 64
const sliceMs = 8
/**
 * While clients arrive: libuv accepts one connection a turn of the loop, so slices bound how many can come. With
 * slices of 8 ms, 2,000 that came at 400/s into 500,000 deliveries/s waited 6 s on average for their first block; at
 * 1,000/s the 99th percentile was 1,030 ms with slices of 1 ms, and 22 to 48 ms with these.
 */
const arrivalSliceMs = 0.4
/** While only catching up is to be done: the next event should not wait long. */
const catchUpSliceMs = 2

/**
 * Drives the router. Everything that arrived in one turn of the event loop goes out together, in slices that let
 * accepting and reading go on. Under load a flush takes longer, so more arrives meanwhile, and the next is larger:
 * throughput rises by itself when it is needed.
 */
export class Flusher {
  private readonly options: FlusherOptions
  private scheduled = false
  private arrivals = false
  private readonly sequences: number[] = []
  private readonly times: number[] = []
  private first = 0
  /** When the flush under way began; undefined when none is. */
  private begunAt: number | undefined

  constructor(options: FlusherOptions) {
    this.options = options
  }

  /** An event has come; `timeMs` is when the log stored it, undefined for one whose latency says nothing. */
  note(sequence: number, timeMs: number | undefined): void {
    if (timeMs !== undefined) {
      this.sequences.push(sequence)
      this.times.push(timeMs)
    }
    if (this.options.router.unflushedBytes > this.options.maxUnflushedBytes) this.options.pause()
  }

  /** Forgets the events noted: the log starts anew. */
  restart(): void {
    this.sequences.length = 0
    this.times.length = 0
    this.first = 0
    this.begunAt = undefined
  }

  /** A client has connected: others may be waiting behind it. */
  arrived(): void {
    this.arrivals = true
  }

  /** Has the router’s work done, beginning at the end of this turn. */
  schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    setImmediate(() => this.run())
  }

  private run(): void {
    const { router } = this.options
    let now = performance.now()
    const end = now + (this.arrivals ? arrivalSliceMs : router.flushing ? sliceMs : catchUpSliceMs)
    this.arrivals = false
    for (; router.busy && now < end; now = performance.now()) {
      const { boundary } = router
      router.step(writesPerStep)
      if (router.boundary !== boundary) this.begunAt = now
      if (this.begunAt !== undefined && router.flushedTo === router.boundary) this.observe(this.begunAt)
    }
    this.scheduled = false
    if (router.unflushedBytes <= this.options.maxUnflushedBytes) this.options.unpause()
    if (router.busy) this.schedule()
  }

  /** A flush has ended. */
  private observe(begunAt: number): void {
    const { flushedTo } = this.options.router
    const before = this.first
    const nowMs = Date.now()
    this.begunAt = undefined
    while (this.first < this.sequences.length && (this.sequences[this.first] as number) <= flushedTo) {
      // Clocks of the log and of the pod may differ by a little; no event arrives before it was stored.
      this.options.onFlushed(Math.max(0, nowMs - (this.times[this.first++] as number)))
    }
    if (this.first > before) this.options.onFlush(performance.now() - begunAt, this.first - before)
    if (this.first === this.sequences.length) this.restart()
    else if (this.first > 1_024) this.dropObserved()
  }

  /** Under lasting load there is always an event that waits, and the lists would never be empty. */
  private dropObserved(): void {
    this.sequences.splice(0, this.first)
    this.times.splice(0, this.first)
    this.first = 0
  }
}
