import { pino } from 'pino'
import type { GatewaySettings } from '../../services/gateway/config.ts'
import type { Connection } from '../../services/gateway/connection.ts'
import { Connections } from '../../services/gateway/connections.ts'
import { LogStateReader } from '../../services/gateway/log-state.ts'
import type { Metrics } from '../../services/gateway/metrics.ts'
import { RecentLog } from '../../services/gateway/recent-log.ts'
import { Replay } from '../../services/gateway/replay.ts'
import { Router } from '../../services/gateway/router.ts'
import { encodeEvent } from '../../services/gateway/sse-frame.ts'
import type { LogView } from '../../services/gateway/start-position.ts'
import { Streams } from '../../services/gateway/streams.ts'
import type { Random } from '../support/random.ts'
import type { FakeJetStream } from './fake-jetstream.ts'
import type { ModelLog } from './model-log.ts'

const silent = pino({ level: 'silent' })
const counter = { inc: () => undefined }
const noMetrics = {
  gaps: counter,
  connects: counter,
  closed: counter,
  replays: counter,
  resumes: counter,
} as unknown as Metrics

/**
 * The gateway's parts, joined as `services/gateway/gateway.ts` joins them, but without network: the tail reads the
 * model, replay reads a fake JetStream, and whoever owns the pod drives the router.
 */
export class Pod {
  readonly recentLog: RecentLog
  readonly router: Router
  readonly connections: Connections
  readonly streams: Streams
  readonly replay: Replay
  readonly maxRecentBytes: number
  epoch = ''
  private readonly log: ModelLog

  constructor(log: ModelLog, jetStream: FakeJetStream, random: Random, nowMs: number) {
    this.log = log
    this.maxRecentBytes = random.pick([600, 1_500, 4_000, 50_000])
    this.recentLog = new RecentLog({
      maxBytes: this.maxRecentBytes,
      pageBytes: random.pick([150, 300, 1_000, 10_000]),
    })
    this.router = new Router({
      recentLog: this.recentLog,
      replay: (subscriber) => this.replay.take(subscriber),
      heartbeat: (position) => this.streams.heartbeatBlock(position),
    })
    this.connections = new Connections(
      {
        maxConnections: 1_000,
        maxConnectionsPerSubject: 1_000,
        stallTimeoutMs: 20_000,
        maxUnsentBytes: random.pick([2_000, 20_000, 1_000_000]),
        catchUpGraceMs: 3_000,
      },
      nowMs,
    )
    const logState = new LogStateReader(() => jetStream.readState())
    const pod = this
    const view: LogView = {
      get epoch() {
        return pod.epoch
      },
      get tailPosition() {
        return pod.recentLog.head
      },
      get boundary() {
        return pod.router.boundary
      },
      get recentFloor() {
        return pod.recentLog.floor
      },
      recentPositionAt: (timeMs) => this.recentLog.positionAt(timeMs),
      readState: () => logState.fresh(),
      readPositionAt: (timeMs) => jetStream.readPositionAt(timeMs),
    }
    this.streams = new Streams({
      settings: { RETRY_MIN_MS: 1, RETRY_MAX_MS: 9, MAX_AGE_MS: 30_000 } as GatewaySettings,
      log: silent,
      connections: this.connections,
      router: this.router,
      metrics: noMetrics,
      view,
      schedule: () => undefined,
      notServing: () => undefined,
    })
    this.replay = new Replay({
      nats: jetStream.nats,
      manager: jetStream.manager,
      stream: 'EVENTS',
      log: silent,
      maxSweeps: random.between(1, 3),
      pageBytes: random.pick([150, 400, 2_000]),
      floor: () => this.recentLog.floor,
      tailPosition: () => this.recentLog.head,
      epoch: () => this.epoch,
      readLogState: () => logState.fresh(),
      done: (subscriber) => this.streams.resume(subscriber as Connection),
      expired: (subscriber, resumedAt) =>
        this.streams.tellGap(subscriber as Connection, 'expired', this.epoch, resumedAt),
      onOutcome: () => undefined,
      onDelivered: (events, bytes) => this.router.countReplayed(events, bytes),
    })
    this.streams.useReplay(this.replay)
  }

  /** As the log tail does: looks whether this is still the log that it knows, then reads up to `count` events. */
  readTail(count: number): number {
    const oldest = this.log.first - 1
    if (this.epoch === '') this.restart('first', Math.max(oldest, this.log.last - 3))
    else if (this.epoch !== this.log.epoch) this.restart('reset', oldest)
    else if (oldest > this.recentLog.head) this.restart('expired', oldest)
    let read = 0
    for (; read < count; read++) {
      const event = this.log.next(this.recentLog.head)
      if (!event) break
      const frame = encodeEvent(this.epoch, event)
      this.recentLog.append(event.sequence, event.topic, event.timeMs, frame)
      this.router.append(event.sequence, event.topic, frame)
    }
    return read
  }

  /** The same as in `gateway.ts`. */
  private restart(reason: 'first' | 'reset' | 'expired', position: number): void {
    const { connections } = this
    this.recentLog.restart(position)
    this.router.restart(position, connections.all)
    this.replay.restart()
    const previous = this.epoch
    this.epoch = this.log.epoch
    if (reason === 'first') return
    for (const connection of connections.all) this.streams.tellGap(connection, reason, previous, position)
  }
}
