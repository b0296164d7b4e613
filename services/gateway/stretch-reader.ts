import type { JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { LogReader } from './log-reader.ts'
import { Page } from './page.ts'
import type { SweepPlan } from './replay-plan.ts'
import { encodeEvent, type LogEvent } from './sse-frame.ts'

/** Where pages come from. */
export interface PageSource {
  nats: NatsConnection
  manager: JetStreamManager
  stream: string
  /** Memory of one page. */
  pageBytes: number
  /** The log's incarnation, part of every frame. */
  epoch: () => string
}

/** Reads a stretch of the stream page by page, each from one request or a few, so that the readers set the pace. */
export class StretchReader {
  private readonly options: PageSource
  private readonly epoch: string
  private readonly target: number
  private reader!: LogReader
  private page: Page
  private readonly surplus: { event: LogEvent; frame: Buffer }[] = []
  private ended = true
  private delivered = 0
  private failure: Error | undefined
  private notify: (() => void) | undefined

  private constructor(options: PageSource, after: number, target: number) {
    this.options = options
    this.target = target
    this.epoch = options.epoch()
    this.page = new Page(after, options.pageBytes)
  }

  static async open(options: PageSource, plan: SweepPlan, target: number): Promise<StretchReader> {
    const pages = new StretchReader(options, plan.afterSequence, target)
    pages.reader = await LogReader.open({
      nats: options.nats,
      manager: options.manager,
      stream: options.stream,
      name: 'gateway-replay',
      afterSequence: plan.afterSequence,
      ...(plan.topics ? { topics: plan.topics } : {}),
      expiresMs: 2_000,
      requestBytes: options.pageBytes,
      onEvent: (event) => pages.take(event),
      onRequestEnd: () => {
        pages.ended = true
        pages.notify?.()
      },
      onLost: (reason, detail) => {
        pages.failure = new Error(`${reason}: ${detail}`)
        pages.notify?.()
      },
    })
    return pages
  }

  /** The next page. Its `last` reaches the target when the stream has nothing more before that. */
  async next(): Promise<Page> {
    this.page = new Page(this.page.last, Math.max(this.options.pageBytes, this.surplus[0]?.frame.length ?? 0))
    let item = this.surplus[0]
    while (item && this.page.hasRoom(item.frame.length)) {
      this.add(item.event, item.frame)
      this.surplus.shift()
      item = this.surplus[0]
    }
    // One request a page, sized by the events so far, keeps what is on the way within a page or so.
    while (
      this.surplus.length === 0 &&
      this.reader.pending > 0 &&
      this.page.used < this.options.pageBytes / 2
    ) {
      this.ended = false
      this.reader.request(Math.min(this.reader.pending, this.batch()))
      const before = this.delivered
      while (!this.ended && !this.failure) await new Promise<void>((resolve) => (this.notify = resolve))
      if (this.failure) throw this.failure
      // Deleted or expired since they were counted; a new consumer counts anew.
      if (this.delivered === before) throw new Error('events that were to come are gone')
    }
    if (this.exhausted) this.page.last = Math.max(this.page.last, this.target)
    this.page.seal()
    return this.page
  }

  /** True when the consumer has no more events than the pages so far. */
  get exhausted(): boolean {
    return this.surplus.length === 0 && this.reader.pending === 0
  }

  /** Name of the server that is read from; undefined where NATS does not say. */
  get server(): string | undefined {
    return this.reader.server
  }

  close(): void {
    this.reader.close()
  }

  private batch(): number {
    const mean = this.page.count === 0 ? 1_024 : this.page.used / this.page.count
    return Math.max(1, Math.min(1_000, Math.floor((this.options.pageBytes - this.page.used) / mean)))
  }

  private take(event: LogEvent): void {
    this.delivered++
    const frame = encodeEvent(this.epoch, event)
    if (this.surplus.length === 0 && (this.page.hasRoom(frame.length) || this.page.count === 0))
      this.add(event, frame)
    else this.surplus.push({ event, frame })
  }

  private add(event: LogEvent, frame: Buffer): void {
    if (!this.page.hasRoom(frame.length)) {
      // One event larger than a page gets a page of its own size.
      this.page = new Page(this.page.floor, frame.length)
    }
    this.page.append(event.sequence, event.topic, event.timeMs, frame)
  }
}
