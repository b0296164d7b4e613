import { randomBytes } from 'node:crypto'
import type { Log } from '../common/log.ts'
import { CanaryPublisher } from './canary-publisher.ts'
import { CanaryStream } from './canary-stream.ts'
import { watchCertificate } from './certificate.ts'
import type { ProberSettings } from './config.ts'
import { Ledger } from './ledger.ts'
import { createProbeMetrics } from './metrics.ts'

/** A stored canary that takes longer than this does not "arrive". */
const arriveWithinMs = 5_000
const expireEveryMs = 250
/** Between two streams, for a user who notices nothing: above the longest `retry:` of the gateways (4 s by default). */
const returnWithinMs = 5_000
const drainMs = 5_000

/**
 * Does what a user does, through the front door, and notes what a user would feel.
 *
 *   1. publish     a canary each interval; one that was not acknowledged is tried again with the same id
 *   2. read        them back on one stream, which comes back as a browser would
 *   3. reconnect   now and then on purpose, with a canary published meanwhile: the resume must bring it
 *   4. judge       what was stored and has not come in time is lost
 *   5. drain       on `stop`: publishes no more, waits for what is on its way
 */
export class Prober {
  readonly metrics = createProbeMetrics(() => this.connected)
  private readonly settings: ProberSettings
  private readonly log: Log
  private readonly ledger: Ledger
  private readonly publisher: CanaryPublisher
  private readonly stream: CanaryStream
  private readonly timers: NodeJS.Timeout[] = []
  private readonly run = randomBytes(6).toString('hex')
  private n = 0
  /** When the first attempt for canary `n` began, while it is not acknowledged. */
  private unstoredSince: number | undefined
  private publishing: Promise<void> | undefined
  private publishFailure = ''
  private connectFailure = ''
  /** The position that a resume under way was asked for; undefined when it has been judged. */
  private resumedFrom: string | undefined
  private arrived = false
  /** When a stream was last seen open; undefined before the first. */
  private openAt: number | undefined
  private draining = false

  constructor(settings: ProberSettings, log: Log) {
    const { BASE_URL, PROBE_TOPIC: topic, PROBE_TOKEN: token } = settings
    const url = new URL('/v1/events', BASE_URL).href
    this.settings = settings
    this.log = log
    this.ledger = new Ledger(settings.PROBE_LOST_AFTER_MS)
    this.publisher = new CanaryPublisher({ url, topic, token, run: this.run })
    this.stream = new CanaryStream({
      url: `${url}?topic=${topic}`,
      token,
      onConnect: (outcome, elapsedMs, detail) => this.noteConnect(outcome, elapsedMs, detail),
      onEvent: (type, data, id) => this.take(type, data, id),
      onEnd: (detail) => this.log.info({ detail, position: this.stream.position }, 'the stream ended'),
    })
  }

  /** Undefined once a canary has come back, until it drains. */
  notReady(): string | undefined {
    if (this.draining) return 'draining'
    if (this.arrived) return undefined
    return this.connectFailure || this.publishFailure || 'no canary has come back yet'
  }

  /** Begins; returns at once. */
  start(): void {
    const { PROBE_INTERVAL_MS, PROBE_RECONNECT_MS, BASE_URL, PROBE_TOPIC, PROBE_CERTIFICATE_URL } =
      this.settings
    this.log.info({ url: BASE_URL, topic: PROBE_TOPIC, run: this.run }, 'probing')
    void this.stream.run()
    this.timers.push(
      setInterval(() => this.tick(), PROBE_INTERVAL_MS),
      setInterval(() => this.stream.reconnect(() => this.publishBetween()), PROBE_RECONNECT_MS),
      setInterval(() => this.expire(), expireEveryMs),
      setInterval(() => this.countSecond(), 1_000),
    )
    const certificateUrl = PROBE_CERTIFICATE_URL || (BASE_URL.startsWith('https:') ? BASE_URL : '')
    if (certificateUrl)
      this.timers.push(watchCertificate(certificateUrl, this.metrics.certificateExpiry(), this.log))
  }

  /** Resolves when what was published has come, or a few seconds later. */
  async stop(): Promise<void> {
    if (this.draining) return
    this.draining = true
    this.log.info('draining')
    for (const timer of this.timers) clearInterval(timer)
    await this.publishing
    const end = performance.now() + drainMs
    while (this.ledger.longestAwaitedMs(performance.now()) > 0 && performance.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 50))
    this.stream.stop()
    this.log.info('stopped')
  }

  private get connected(): boolean {
    const patienceMs = Math.max(arriveWithinMs, 2 * this.settings.PROBE_INTERVAL_MS)
    return this.stream.open && this.ledger.longestAwaitedMs(performance.now()) < patienceMs
  }

  /** A cluster that has never worked is no outage: the prober may have been started first. */
  private countSecond(): void {
    const now = performance.now()
    if (this.stream.open) this.openAt = now
    if (this.openAt === undefined) return
    this.metrics.seconds.inc({ state: now - this.openAt <= returnWithinMs ? 'up' : 'down' })
  }

  private tick(): void {
    // One at a time, so that they are stored in their order. Who is still waiting would be late for this one.
    if (this.publishing) this.metrics.published.inc({ outcome: 'failed' })
    else void this.publish()
  }

  /** A canary while the stream is cut; after one that is under way. */
  private async publishBetween(): Promise<void> {
    await this.publishing
    if (!this.draining) await this.publish()
  }

  private publish(): Promise<void> {
    this.publishing = this.publishOne().finally(() => {
      this.publishing = undefined
    })
    return this.publishing
  }

  private async publishOne(): Promise<void> {
    const begunAt = performance.now()
    // After so long the log may have forgotten the id, and would store the canary twice.
    const abandoned = begunAt - (this.unstoredSince ?? begunAt) > this.settings.PROBE_LOST_AFTER_MS
    if (this.unstoredSince === undefined || abandoned) {
      this.n++
      this.unstoredSince = begunAt
    }
    const { n } = this
    // Before the stream has a position nothing was promised to it.
    if (this.stream.position) this.ledger.begin(n, begunAt)
    const answer = await this.publisher.publish(n)
    if ('id' in answer) {
      this.ledger.stored(n, answer.id, performance.now())
      this.unstoredSince = undefined
      this.metrics.published.inc({ outcome: 'stored' })
      if (this.publishFailure) this.log.info({ n }, 'canaries are stored again')
      this.publishFailure = ''
    } else {
      this.metrics.published.inc({ outcome: 'failed' })
      if (!this.publishFailure) this.log.warn({ n, reason: answer.failure }, 'a canary was not stored')
      this.publishFailure = `publishing fails: ${answer.failure}`
    }
  }

  private noteConnect(outcome: 'ok' | 'refused' | 'failed', elapsedMs: number, detail: string): void {
    this.metrics.connects.inc({ outcome })
    if (outcome === 'ok') {
      this.metrics.connectDuration.observe(elapsedMs / 1000)
      if (this.connectFailure) this.log.info('a stream opens again')
      this.connectFailure = ''
      this.resumedFrom = this.stream.position || undefined
      return
    }
    if (!this.connectFailure) this.log.warn({ outcome, detail }, 'no stream opens')
    this.connectFailure = `no stream opens: ${detail}`
  }

  private take(type: string, data: string, id: string): void {
    if (type === '$gap') this.noteGap(data)
    else if (type === '$live') this.judgeResume(id)
    else if (type === 'probe.canary') this.receive(data, id)
  }

  private receive(data: string, id: string): void {
    const canary = (JSON.parse(data) as { data?: { run?: string; n?: number } }).data
    if (canary?.run !== this.run || typeof canary.n !== 'number') return
    const { n } = canary
    const { kind, latencyMs, outOfOrder } = this.ledger.receive(n, id, performance.now())
    this.arrived = true
    if (outOfOrder) this.metrics.outOfOrder.inc()
    if (outOfOrder || kind === 'duplicate')
      this.log.error({ n, id, kind, outOfOrder }, 'a canary came wrongly')
    if (kind === 'duplicate') this.metrics.duplicated.inc()
    else this.metrics.received.inc()
    if (kind === 'first' || kind === 'late') this.metrics.latency.observe(latencyMs / 1000)
    if (kind === 'late') {
      this.metrics.late.inc()
      this.log.warn(
        { n, id, latencyMs: Math.round(latencyMs) },
        'a canary that counted as lost came after all',
      )
    }
  }

  private noteGap(data: string): void {
    this.log.warn({ gap: data }, 'the stream told of a gap')
    if (this.resumedFrom === undefined) return
    this.resumedFrom = undefined
    this.metrics.resumes.inc({ outcome: 'gap' })
  }

  /** The stream says that it has sent everything up to `id`. */
  private judgeResume(id: string): void {
    if (this.resumedFrom === undefined) return
    const missing = this.ledger.missing(this.resumedFrom, id)
    if (missing.length > 0)
      this.log.error({ missing, from: this.resumedFrom, to: id }, 'a resume did not bring what was stored')
    this.metrics.resumes.inc({ outcome: missing.length > 0 ? 'lost' : 'ok' })
    this.resumedFrom = undefined
  }

  private expire(): void {
    for (const n of this.ledger.expire(performance.now())) {
      this.metrics.lost.inc()
      this.log.error({ n, position: this.stream.position }, 'a stored canary did not come in time')
    }
  }
}
