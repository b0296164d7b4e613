import type { JetStreamAccountStats, PeerInfo, StreamInfo } from '@nats-io/jetstream'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Log } from '../common/log.ts'

/** Where the readings come from. Each throws when JetStream does not answer. */
export interface LogSource {
  readStream(): Promise<StreamInfo>
  readAccount(): Promise<JetStreamAccountStats>
}

const readEveryMs = 5_000

/**
 * The log and its replicas as JetStream itself tells of them, so that they can be watched without another exporter.
 * Read every few seconds and not at scrapes, so that scrapers cost JetStream nothing. While it can't be read the gauges
 * are NaN: an old number would look like a good one.
 */
export class LogMetrics {
  private readonly registry: Registry
  private readonly gauges: Gauge[] = []
  private readonly firstSequence: Gauge
  private readonly lastSequence: Gauge
  private readonly messages: Gauge
  private readonly bytes: Gauge
  private readonly bytesLimit: Gauge
  private readonly ageSeconds: Gauge
  private readonly consumers: Gauge
  private readonly replicas: Gauge
  private readonly replicasCurrent: Gauge
  private readonly replicaLag: Gauge
  private readonly leader: Gauge
  private readonly replicaCurrent: Gauge<'server'>
  private readonly natsStorage: Gauge
  private readonly natsMemory: Gauge
  private readonly natsStreams: Gauge
  private readonly natsConsumers: Gauge
  private readonly failures: Counter
  private timer: NodeJS.Timeout | undefined
  private reading = false

  constructor(registry: Registry) {
    this.registry = registry
    const gauge = (name: string, help: string) => this.gauge(name, help)
    this.firstSequence = gauge('sse_log_first_sequence', 'Oldest sequence that the log keeps.')
    this.lastSequence = gauge('sse_log_last_sequence', 'Newest sequence of the log.')
    this.messages = gauge('sse_log_messages', 'Events in the log.')
    this.bytes = gauge('sse_log_bytes', 'Size of the log in bytes.')
    this.bytesLimit = gauge(
      'sse_log_bytes_limit',
      'Size in bytes beyond which the oldest events go; +Inf without a limit.',
    )
    this.ageSeconds = gauge('sse_log_age_seconds', 'Age of the oldest event that the log keeps.')
    this.consumers = gauge(
      'sse_log_consumers',
      'Consumers of the log: one per gateway, more while it replays.',
    )
    this.replicas = gauge('sse_log_replicas', 'Copies of the log that are wanted.')
    this.replicasCurrent = gauge(
      'sse_log_replicas_current',
      'Copies of the log that are up to date, the leader included.',
    )
    this.replicaLag = gauge(
      'sse_log_replica_lag_operations',
      'Operations that the copy which is furthest behind lacks.',
    )
    this.leader = gauge('sse_log_leader', '1 while the log has a leader, so that it can be written and read.')
    this.replicaCurrent = new Gauge({
      name: 'sse_log_replica_current',
      help: '1 for each copy of the log that is up to date, by NATS server.',
      labelNames: ['server'],
      registers: [registry],
    })
    this.natsStorage = gauge(
      'sse_nats_storage_bytes',
      'File storage that JetStream uses for the account, in bytes.',
    )
    this.natsMemory = gauge(
      'sse_nats_memory_bytes',
      'Memory storage that JetStream uses for the account, in bytes.',
    )
    this.natsStreams = gauge('sse_nats_streams', 'JetStream streams of the account.')
    this.natsConsumers = gauge('sse_nats_consumers', 'JetStream consumers of the account.')
    this.failures = new Counter({
      name: 'sse_log_read_failures_total',
      help: 'Times that JetStream did not tell of the log or of the account.',
      registers: [registry],
    })
  }

  /** Reads every few seconds from now on, until `stop`. */
  start(source: LogSource, log: Log): void {
    this.timer = setInterval(() => void this.read(source, log), readEveryMs)
  }

  stop(): void {
    clearInterval(this.timer)
  }

  /** Reads now, unless a reading is under way. */
  async read(source: LogSource, log: Log): Promise<void> {
    if (this.reading) return
    this.reading = true
    await this.readStream(source, log)
    await this.readAccount(source, log)
    this.reading = false
  }

  private async readStream(source: LogSource, log: Log): Promise<void> {
    try {
      this.takeStream(await source.readStream(), Date.now())
    } catch (error) {
      log.debug({ error: String(error) }, 'the log could not be read for its metrics')
      this.failures.inc()
      for (const gauge of this.gauges) if (!this.ofAccount.includes(gauge)) gauge.set(Number.NaN)
      this.replicaCurrent.reset()
      // Whoever asks about a stream is answered by its leader.
      this.leader.set(0)
    }
  }

  /** By itself: a NATS user may read the stream and not the account. */
  private async readAccount(source: LogSource, log: Log): Promise<void> {
    try {
      this.takeAccount(await source.readAccount())
    } catch (error) {
      log.debug({ error: String(error) }, 'the account could not be read for its metrics')
      this.failures.inc()
      for (const gauge of this.ofAccount) gauge.set(Number.NaN)
    }
  }

  private get ofAccount(): Gauge[] {
    return [this.natsStorage, this.natsMemory, this.natsStreams, this.natsConsumers]
  }

  private takeStream(info: StreamInfo, nowMs: number): void {
    const { state, config, cluster } = info
    this.firstSequence.set(state.first_seq)
    this.lastSequence.set(state.last_seq)
    this.messages.set(state.messages)
    this.bytes.set(state.bytes)
    this.bytesLimit.set(config.max_bytes > 0 ? config.max_bytes : Number.POSITIVE_INFINITY)
    this.ageSeconds.set(
      state.messages === 0 ? 0 : Math.max(0, nowMs - new Date(state.first_ts).getTime()) / 1000,
    )
    this.consumers.set(state.consumer_count)
    const followers: PeerInfo[] = cluster?.replicas ?? []
    // A server that is alone has no cluster to tell of, and is its own leader.
    const leader = cluster ? (cluster.leader ?? '') : 'only'
    const current = followers.filter(isCurrent).length + (leader ? 1 : 0)
    this.leader.set(leader ? 1 : 0)
    this.replicas.set(config.num_replicas)
    this.replicasCurrent.set(current)
    this.replicaLag.set(Math.max(0, ...followers.map(({ lag }) => lag ?? 0)))
    this.replicaCurrent.reset()
    if (leader) this.replicaCurrent.set({ server: leader }, 1)
    for (const follower of followers)
      this.replicaCurrent.set({ server: follower.name }, isCurrent(follower) ? 1 : 0)
  }

  private takeAccount(account: JetStreamAccountStats): void {
    this.natsStorage.set(account.storage)
    this.natsMemory.set(account.memory)
    this.natsStreams.set(account.streams)
    this.natsConsumers.set(account.consumers)
  }

  private gauge(name: string, help: string): Gauge {
    const made = new Gauge({ name, help, registers: [this.registry] })
    made.set(Number.NaN)
    this.gauges.push(made)
    return made
  }
}

function isCurrent({ current, offline }: PeerInfo): boolean {
  return current && !offline
}
