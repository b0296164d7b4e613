import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { LogWatch } from './log-watch.ts'

/** What the publisher measures, in base units and without labels that can grow. */
export class PublishMetrics {
  readonly registry = new Registry()
  private readonly stored: Counter.Internal
  private readonly duplicates: Counter.Internal
  private readonly rejects: Counter.Internal
  private readonly failures: Counter.Internal
  private readonly ackSeconds: Histogram.Internal<string>

  constructor() {
    // Event loop delay, memory, CPU and garbage collection of the process.
    collectDefaultMetrics({ register: this.registry })
    const publishes = new Counter({
      name: 'sse_publishes_total',
      help: 'Events handed in, by outcome: stored, duplicate, rejected (wrong input), failed (no acknowledgement).',
      labelNames: ['outcome'],
      registers: [this.registry],
    })
    this.stored = publishes.labels('stored')
    this.duplicates = publishes.labels('duplicate')
    this.rejects = publishes.labels('rejected')
    this.failures = publishes.labels('failed')
    for (const counter of [this.stored, this.duplicates, this.rejects, this.failures]) counter.inc(0)
    this.ackSeconds = new Histogram({
      name: 'sse_publish_ack_seconds',
      help: 'Time from publishing to the log’s acknowledgement.',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers: [this.registry],
    }).labels()
  }

  acknowledged(duplicate: boolean, elapsedMs: number): void {
    const counter = duplicate ? this.duplicates : this.stored
    counter.inc()
    this.ackSeconds.observe(elapsedMs / 1000)
  }

  /** Counts events that were not stored: because the log failed, or because they were wrong. */
  refused(logFailed: boolean, count = 1): void {
    const counter = logFailed ? this.failures : this.rejects
    counter.inc(count)
  }

  /** Adds the gauges of the stream, read when they are scraped. */
  watchStream(watch: LogWatch): void {
    let read: Promise<void> = Promise.resolve()
    let readAt = Number.NEGATIVE_INFINITY
    // One read serves all four gauges, and scrapers that come together.
    const refresh = () => {
      if (performance.now() - readAt > 1000) {
        readAt = performance.now()
        read = readState()
      }
      return read
    }
    const gauge = (name: string, help: string) =>
      new Gauge({ name, help, registers: [this.registry], collect: refresh })
    const first = gauge(
      'sse_stream_first_sequence',
      'Oldest sequence that the log keeps; NaN while it can’t be read.',
    )
    const last = gauge('sse_stream_last_sequence', 'Newest sequence of the log.')
    const messages = gauge('sse_stream_messages', 'Events in the log.')
    const bytes = gauge('sse_stream_bytes', 'Size of the log in bytes.')
    const readState = async () => {
      const state = await watch.readStream().then(
        (info) => info.state,
        () => ({ first_seq: Number.NaN, last_seq: Number.NaN, messages: Number.NaN, bytes: Number.NaN }),
      )
      first.set(state.first_seq)
      last.set(state.last_seq)
      messages.set(state.messages)
      bytes.set(state.bytes)
    }
  }
}
