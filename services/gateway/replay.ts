import type { Log } from '../common/log.ts'
import type { LogState } from '../common/log-stream.ts'
import type { Page } from './page.ts'
import { planSweep, type SweepPlan, serves } from './replay-plan.ts'
import { type PageSource, StretchReader } from './stretch-reader.ts'
import type { Subscriber } from './subscriber.ts'

export interface ReplayOptions extends PageSource {
  log: Log
  /** The recent log's floor: from there on the router serves again. */
  floor: () => number
  /** Most sweeps at a time. Memory: one page each, or one event where that is larger. */
  maxSweeps: number
  /** Whether the server filters by several topics; it does unless told. */
  severalFilters?: () => boolean
  /** The newest position that this pod has read: everything up to it is in the stream. */
  tailPosition: () => number
  /** Fresh state of the log. @throws when JetStream does not answer. */
  readLogState: () => Promise<LogState>
  /** Gives a subscriber back that has everything up to the floor. */
  done: (subscriber: Subscriber) => void
  /** The stream no longer has what comes after the subscriber's position; it goes on from `resumedAt`. */
  expired: (subscriber: Subscriber, resumedAt: number) => void
  /** `elapsedMs` since the subscriber asked; none for a sweep that failed, since its subscribers wait on. */
  onOutcome: (outcome: 'completed' | 'expired' | 'failed', elapsedMs?: number) => void
  onDelivered: (events: number, bytes: number) => void
  /** A subscriber gets its first page, this long after it asked. */
  onBegun?: (waitedMs: number) => void
}

/** How long a sweep waits for readers that push back before it goes on without them. */
const patienceMs = 250
/** How long all sweeps together may write in one turn of the event loop: live streams wait so long. */
const sliceMs = 0.5
/**
 * Readers of a page that may push back at a time: what their sockets still hold is written by the kernel's word, in one
 * go for all that drained, and live streams wait for it.
 */
const maxPushing = 4
/** A sweep that is further below than this is not waited for while another one may begin. */
const nearEvents = 5_000

/**
 * Reads the stream for subscribers whose position has fallen off the recent log. A sweep is like a lift: it begins at
 * the lowest position that waits and goes up to the recent log; everybody whom it passes and who can take it gets
 * each page, so a hundred clients that are equally far behind cost one read. One that pushes back too long is left
 * where it is, for a later sweep.
 */
export class Replay {
  /** Subscribers in replay's hands. */
  readonly waiting = new Set<Subscriber>()
  sweeps = 0
  /** When each of them asked (`performance.now()`), and who still waits for a first page. */
  private readonly askedAt = new Map<Subscriber, number>()
  private readonly unbegun = new Set<Subscriber>()
  private readonly blocked = new Set<Subscriber>()
  private readonly options: ReplayOptions
  private generation = 0
  private scheduled = false
  private readonly running = new Set<SweepPlan>()
  private wake: (() => void)[] = []
  /** When the writing of this turn of the event loop is to end (`performance.now()`), and its successor. */
  private turnEnds = 0
  private turn: Promise<void> | undefined

  constructor(options: ReplayOptions) {
    this.options = options
  }

  take(subscriber: Subscriber): void {
    this.waiting.add(subscriber)
    this.askedAt.set(subscriber, performance.now())
    this.unbegun.add(subscriber)
    this.schedule()
  }

  /** The subscriber's socket pushes back: nothing is written to it until `drained`. */
  block(subscriber: Subscriber): void {
    // A write that fails closes the connection from inside; it has left then.
    if (this.waiting.has(subscriber)) this.blocked.add(subscriber)
  }

  drained(subscriber: Subscriber): void {
    if (!this.blocked.delete(subscriber)) return
    for (const wake of this.wake.splice(0)) wake()
    this.schedule()
  }

  forget(subscriber: Subscriber): void {
    this.release(subscriber)
    this.drained(subscriber)
  }

  /** Subscribers that wait and could be written to: for a sign of life while they queue. */
  *idle(): Iterable<Subscriber> {
    for (const subscriber of this.waiting) if (!this.blocked.has(subscriber)) yield subscriber
  }

  /** The log starts anew: sweeps under way end, and nobody is in replay's hands any more. */
  restart(): void {
    this.generation++
    this.waiting.clear()
    this.askedAt.clear()
    this.unbegun.clear()
    this.blocked.clear()
    for (const wake of this.wake.splice(0)) wake()
  }

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    // A turn later, so that everybody who falls behind in one turn is planned for at once.
    setImmediate(() => {
      this.scheduled = false
      while (this.running.size < this.options.maxSweeps) {
        const plan = planSweep(this.unserved(), this.options.floor(), this.options.severalFilters?.())
        if (!plan) return
        this.running.add(plan)
        void this.sweep(plan).finally(() => {
          this.running.delete(plan)
          if (this.waiting.size > 0) this.schedule()
        })
      }
    })
  }

  /** Those that can be written to and that no running sweep will reach soon: it has passed them, or is far below. */
  private *unserved(): Iterable<Subscriber> {
    for (const subscriber of this.idle()) {
      let reached = false
      for (const plan of this.running) {
        const distance = subscriber.position - plan.afterSequence
        // The last one is kept for those whom no sweep will reach.
        const soon = distance <= nearEvents || this.running.size >= this.options.maxSweeps - 1
        if (distance >= 0 && soon && serves(plan, subscriber)) reached = true
      }
      if (!reached) yield subscriber
    }
  }

  private async sweep(plan: SweepPlan): Promise<void> {
    const { generation } = this
    this.sweeps++
    let reading: StretchReader | undefined
    try {
      const target = this.options.tailPosition()
      const floor = this.options.floor()
      // The consumer's server may be a little behind the one that the tail reads from. What it does not have yet must
      // not be passed over: it comes from the recent log, whose older half it is trusted to have.
      reading = await StretchReader.open(this.options, plan, floor + Math.floor((target - floor) / 2))
      // After the consumer was made: had the log been recreated before, its epoch would show it.
      const state = await this.tellExpired(plan)
      if (reading.server !== undefined && state?.behind.includes(reading.server))
        throw new Error(`the copy of the log on ${reading.server} is behind`)
      while (generation === this.generation && this.reachable(plan) && plan.afterSequence < target) {
        const page = await reading.next()
        if (generation !== this.generation) return
        // A hole is rightful where events were deleted or are of other topics, unless retention overtook the read.
        if (page.last - page.floor > page.count) await this.tellExpired(plan)
        if (generation !== this.generation) return
        await this.serve(plan, page)
        // Should the recent log have moved on past somebody meanwhile, a consumer that counts anew is needed.
        if (reading.exhausted) return
      }
    } catch (error) {
      if (generation !== this.generation) return
      this.options.log.warn(
        { error: String(error), waiting: this.waiting.size },
        'a replay failed; trying again',
      )
      this.options.onOutcome('failed')
      await new Promise((resolve) => setTimeout(resolve, 250))
    } finally {
      reading?.close()
    }
  }

  private reachable(plan: SweepPlan): boolean {
    for (const subscriber of this.idle()) {
      if (subscriber.position >= plan.afterSequence && serves(plan, subscriber)) return true
    }
    return false
  }

  /** Whoever stands before the oldest event that is kept is told so, and goes on from there. */
  private async tellExpired(plan: SweepPlan): Promise<LogState | undefined> {
    const { generation } = this
    const state = await this.options.readLogState()
    if (generation !== this.generation) return undefined
    if (state.epoch !== this.options.epoch())
      throw new Error('the log was replaced; the tail has yet to notice')
    const oldest = state.firstSequence - 1
    for (const subscriber of [...this.waiting]) {
      if (subscriber.position >= oldest || this.blocked.has(subscriber)) continue
      this.options.onOutcome('expired', this.release(subscriber))
      this.options.expired(subscriber, oldest)
    }
    if (plan.afterSequence < oldest) plan.afterSequence = oldest
    return state
  }

  private async serve(plan: SweepPlan, page: Page): Promise<void> {
    const { generation } = this
    const served: Subscriber[] = []
    let pushing: Subscriber[] = []
    // Waited for in vain once: this page’s readers are slow, and the others should not wait for them again and again.
    let patient = true
    for (const subscriber of [...this.idle()]) {
      // Not from `page.floor`: what `tellExpired` has passed over, a reader that was blocked then must be told first.
      const { position } = subscriber
      if (position < plan.afterSequence || position >= page.last || !serves(plan, subscriber)) continue
      if (!this.waiting.has(subscriber) || this.blocked.has(subscriber)) continue
      if (this.unbegun.delete(subscriber)) this.options.onBegun?.(this.elapsed(subscriber))
      const chunk = page.read(subscriber.group.topics, subscriber.position, page.last)
      subscriber.position = page.last
      served.push(subscriber)
      if (chunk.bytes) {
        this.options.onDelivered(chunk.events, chunk.bytes.length)
        if (!subscriber.write(chunk.bytes)) {
          this.block(subscriber)
          if (patient && pushing.push(subscriber) >= maxPushing) {
            pushing = await this.waitForOne(pushing)
            patient = pushing.length < maxPushing
          }
        }
        if (performance.now() >= this.turnEnds) await this.nextTurn()
        if (generation !== this.generation) return
      }
    }
    plan.afterSequence = page.last
    this.handBack()
    if (patient) await this.waitForReaders(served)
  }

  private nextTurn(): Promise<void> {
    this.turn ??= new Promise((resolve) =>
      setImmediate(() => {
        this.turn = undefined
        this.turnEnds = performance.now() + sliceMs
        resolve()
      }),
    )
    return this.turn
  }

  /** Whoever has reached the recent log leaves; a socket that still pushes back is the router's to wait for. */
  private handBack(): void {
    const floor = this.options.floor()
    for (const subscriber of [...this.waiting]) {
      if (subscriber.position < floor) continue
      this.options.onOutcome('completed', this.release(subscriber))
      if (this.blocked.delete(subscriber)) subscriber.state = 'blocked'
      else this.options.done(subscriber)
    }
  }

  /** Takes a subscriber out of replay's hands. Returns how long it was in them, in ms. */
  private release(subscriber: Subscriber): number {
    const elapsedMs = this.elapsed(subscriber)
    this.waiting.delete(subscriber)
    this.askedAt.delete(subscriber)
    this.unbegun.delete(subscriber)
    return elapsedMs
  }

  private elapsed(subscriber: Subscriber): number {
    const now = performance.now()
    return now - (this.askedAt.get(subscriber) ?? now)
  }

  /** Waits until one of them has drained, but not for ever. Returns those that still push back. */
  private async waitForOne(pushing: readonly Subscriber[]): Promise<Subscriber[]> {
    const left = () => pushing.filter((subscriber) => this.blocked.has(subscriber))
    await this.waitForDrains(() => left().length < pushing.length)
    return left()
  }

  private async waitForReaders(served: readonly Subscriber[]): Promise<void> {
    await this.waitForDrains(() => !served.some((subscriber) => this.blocked.has(subscriber)))
  }

  private async waitForDrains(enough: () => boolean): Promise<void> {
    const end = performance.now() + patienceMs
    while (!enough() && performance.now() < end) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, end - performance.now())
        this.wake.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }
}
