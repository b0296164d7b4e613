import { Counter, Histogram } from 'prom-client'
import { natsConnectedGauge, serviceRegistry } from '../common/metrics.ts'
import { LogMetrics } from './log-metrics.ts'

/** What the publisher measures, in base units and without labels that can grow. */
export class PublishMetrics {
  readonly registry = serviceRegistry()
  readonly natsConnected = natsConnectedGauge(this.registry)
  /** The log as JetStream tells of it. */
  readonly log = new LogMetrics(this.registry)
  private readonly stored: Counter.Internal
  private readonly duplicates: Counter.Internal
  private readonly rejects: Counter.Internal
  private readonly failures: Counter.Internal
  private readonly ackSeconds: Histogram.Internal<string>

  constructor() {
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
}
