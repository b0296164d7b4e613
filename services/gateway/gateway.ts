import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { createHttpApp } from '../common/http-app.ts'
import type { Log } from '../common/log.ts'
import { type LogState, readLogState, readPositionAt } from '../common/log-stream.ts'
import { connectNats } from '../common/nats.ts'
import { serveOperations } from '../common/operations.ts'
import { TokenVerifier } from '../common/token.ts'
import { startTracing } from '../common/tracing.ts'
import { formatEventId } from '../contract/event-id.ts'
import type { GatewaySettings } from './config.ts'
import type { Connection } from './connection.ts'
import { Connections } from './connections.ts'
import { DeliveryTraces } from './delivery-traces.ts'
import { drain } from './drain.ts'
import { Flusher } from './flusher.ts'
import { LogStateReader } from './log-state.ts'
import { LogTail, type RestartReason } from './log-tail.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { observeFlushes, observeReplay } from './observations.ts'
import { Readings } from './readings.ts'
import { RecentLog } from './recent-log.ts'
import { Replay } from './replay.ts'
import { Router } from './router.ts'
import { answerProblem, eventsRoute } from './routes/events.ts'
import { encodeEvent, type LogEvent } from './sse-frame.ts'
import type { LogView } from './start-position.ts'
import { Streams } from './streams.ts'

/** Not ready any more once the log can’t be followed for this long: other pods may be better off. */
const lostPatienceMs = 5_000
const drainGraceMs = 5_000
const catchUpGraceMs = 30_000

/**
 * Joins the parts, and is the only file that knows them all. Events go tail → recent log → router → connections; what
 * is older than the recent log comes by way of replay.
 *
 *   1. start    the ports answer at once; streams are refused with a time to come back
 *   2. run      ready when the tail has caught up
 *   3. drain    on `stop`: not ready, new streams are sent elsewhere, open ones end over the drain window
 *   4. stopped
 *
 * @throws when a port is taken or a setting is wrong. NATS may come later.
 */
export async function startGateway(
  settings: GatewaySettings,
  log: Log,
): Promise<{ stop: () => Promise<void> }> {
  const gateway = new Gateway(settings, log)
  await gateway.listen()
  void gateway.follow()
  return gateway
}

class Gateway {
  private readonly settings: GatewaySettings
  private readonly log: Log
  private readonly tokens: TokenVerifier
  private readonly recentLog: RecentLog
  private readonly router: Router
  private readonly flusher: Flusher
  private readonly connections: Connections
  private readonly readings: Readings
  private readonly metrics: Metrics
  private readonly streams: Streams
  private epoch = ''
  private manager: JetStreamManager | undefined
  private readonly logState: LogStateReader
  private tail: LogTail | undefined
  private replay: Replay | undefined
  private traces: DeliveryTraces | undefined
  private draining = false
  private readonly cleanups: (() => unknown)[] = []

  constructor(settings: GatewaySettings, log: Log) {
    this.settings = settings
    this.log = log
    this.tokens = TokenVerifier.create(settings)
    if (this.tokens.open) log.warn('AUTH_MODE=off: everybody may read everything')
    this.logState = new LogStateReader(() => this.readLogState())
    this.recentLog = new RecentLog({ maxBytes: settings.RECENT_LOG_BYTES })
    this.router = new Router({
      recentLog: this.recentLog,
      replay: (subscriber) => this.replay?.take(subscriber),
      heartbeat: (position) => this.streams.heartbeatBlock(position),
    })
    this.connections = new Connections(
      {
        maxConnections: settings.MAX_CONNECTIONS,
        maxConnectionsPerSubject: settings.MAX_CONNECTIONS_PER_SUBJECT,
        stallTimeoutMs: settings.STALL_TIMEOUT_MS,
        maxUnsentBytes: settings.MAX_UNSENT_BYTES,
        catchUpGraceMs,
      },
      Date.now(),
    )
    this.readings = new Readings({
      connections: this.connections,
      router: this.router,
      recentLog: this.recentLog,
      tail: () => this.tail,
      replay: () => this.replay,
      draining: () => this.draining,
    })
    this.metrics = createMetrics(this.readings, settings)
    this.flusher = new Flusher({
      router: this.router,
      maxUnflushedBytes: settings.RECENT_LOG_BYTES / 4,
      pause: () => this.tail?.pause(),
      unpause: () => this.tail?.unpause(),
      ...observeFlushes(this.metrics, () => this.traces?.flushed(this.router.flushedTo, Date.now())),
    })
    this.streams = new Streams({
      settings,
      log,
      connections: this.connections,
      router: this.router,
      metrics: this.metrics,
      view: this.view(),
      schedule: () => this.flusher.schedule(),
      notServing: () =>
        this.draining ? 'draining' : this.tail?.ready ? undefined : 'the log has not been read yet',
    })
  }

  /** Opens the ports. */
  async listen(): Promise<void> {
    const { HOST, PORT, METRICS_PORT, HEARTBEAT_INTERVAL_MS, MAX_HEADER_BYTES, HEADERS_TIMEOUT_MS } =
      this.settings
    const health = { notReady: () => this.notReady() }
    const operations = await serveOperations(HOST, METRICS_PORT, this.metrics.registry, health)
    const app = createHttpApp({
      log: this.log,
      maxHeaderBytes: MAX_HEADER_BYTES,
      headersTimeoutMs: HEADERS_TIMEOUT_MS,
      requestTimeoutMs: HEADERS_TIMEOUT_MS,
      keepAliveTimeoutMs: 75_000,
      answer: (reply, problem) => {
        this.metrics.refused.inc({ reason: problem.problem })
        answerProblem(reply, problem, this.streams.retryMs())
      },
    })
    eventsRoute(app, {
      tokens: this.tokens,
      opener: this.streams,
      maxTopics: this.settings.MAX_TOPICS,
      maxUrlBytes: this.settings.MAX_URL_BYTES,
      corsOrigins: this.settings.CORS_ORIGINS,
    })
    app.server.on('connection', () => this.flusher.arrived())
    await app.listen({ host: HOST, port: PORT, backlog: 4_096 })
    const second = setInterval(() => {
      this.connections.tick(Date.now(), performance.now())
      this.readings.tick(Date.now())
    }, 1_000)
    const heartbeat = setInterval(() => this.streams.heartbeat(), HEARTBEAT_INTERVAL_MS)
    this.cleanups.push(
      () => clearInterval(second),
      () => clearInterval(heartbeat),
      () => app.close(),
      () => operations.close(),
    )
    this.log.info({ host: HOST, port: PORT, metricsPort: METRICS_PORT }, 'gateway listens')
  }

  /** Connects to NATS, for as long as it takes, and follows the log from then on. */
  async follow(): Promise<void> {
    const { settings, log } = this
    const tracing = await startTracing('gateway', settings)
    if (tracing) this.traces = new DeliveryTraces(tracing)
    const nats = await connectNats(settings, 'sse-gateway', log, (connected) =>
      this.metrics.natsConnected.set(connected ? 1 : 0),
    )
    const manager = await jetstreamManager(nats, { timeout: 2_000, checkAPI: false })
    this.manager = manager
    this.tail = new LogTail({
      nats,
      manager,
      settings,
      warmEvents: settings.WARM_EVENTS,
      log,
      onRestart: (reason, epoch, position) => this.restart(reason, epoch, position),
      onEvent: (event) => this.take(event),
    })
    this.replay = new Replay({
      nats,
      manager,
      stream: settings.STREAM_NAME,
      log,
      maxSweeps: settings.REPLAY_SWEEPS,
      pageBytes: settings.REPLAY_PAGE_BYTES,
      floor: () => this.recentLog.floor,
      tailPosition: () => this.recentLog.head,
      epoch: () => this.epoch,
      readLogState: () => this.logState.fresh(),
      done: (subscriber) => this.streams.resume(subscriber as Connection),
      expired: (subscriber, resumedAt) =>
        this.streams.tellGap(subscriber as Connection, 'expired', this.epoch, resumedAt),
      ...observeReplay(this.metrics, this.router),
    })
    this.streams.useReplay(this.replay)
    this.cleanups.push(
      () => this.tail?.stop(),
      () => tracing?.stop(),
      () => nats.close(),
    )
    this.tail.start()
  }

  /** Drains and ends. Resolves when no stream is left and the ports are closed. */
  async stop(): Promise<void> {
    if (this.draining) return
    this.draining = true
    const { connections, settings, log } = this
    log.info({ connections: connections.all.size }, 'draining')
    await drain({ connections, windowMs: settings.DRAIN_WINDOW_MS, graceMs: drainGraceMs })
    for (const cleanup of this.cleanups) await cleanup()
    log.info('stopped')
  }

  private notReady(): string | undefined {
    if (this.draining) return 'draining'
    if (!this.tail?.ready) return 'waiting for the log'
    const { lostSince } = this.tail
    if (lostSince !== undefined && performance.now() - lostSince > lostPatienceMs)
      return 'the log can’t be followed'
    return undefined
  }

  private take(event: LogEvent): void {
    const frame = encodeEvent(this.epoch, event)
    this.recentLog.append(event.sequence, event.topic, event.timeMs, frame)
    this.router.append(event.sequence, event.topic, frame)
    // What a pod reads to warm up has long been delivered: it is neither traced nor measured.
    const warm = this.tail?.ready
    if (warm && event.traceparent !== undefined)
      this.traces?.note(event, formatEventId(this.epoch, event.sequence), Date.now())
    this.flusher.note(event.sequence, warm ? event.timeMs : undefined)
    this.flusher.schedule()
  }

  private restart(reason: RestartReason, epoch: string, position: number): void {
    const { connections, log } = this
    this.recentLog.restart(position)
    this.router.restart(position, connections.all)
    this.replay?.restart()
    this.flusher.restart()
    this.traces?.restart()
    const previous = this.epoch
    this.epoch = epoch
    if (reason === 'first') return
    log.warn({ reason, epoch, position, connections: connections.all.size }, 'telling every stream of a gap')
    for (const connection of connections.all) this.streams.tellGap(connection, reason, previous, position)
  }

  private async readLogState(): Promise<LogState> {
    const state = await readLogState(this.jetStream(), this.settings.STREAM_NAME)
    if (state.epoch !== this.epoch) void this.tail?.check()
    return state
  }

  private jetStream(): JetStreamManager {
    if (!this.manager) throw new Error('NATS has not been reached yet')
    return this.manager
  }

  private view(): LogView {
    const gateway = this
    return {
      get epoch() {
        return gateway.epoch
      },
      get tailPosition() {
        return gateway.recentLog.head
      },
      get boundary() {
        return gateway.router.boundary
      },
      get recentFloor() {
        return gateway.recentLog.floor
      },
      recentPositionAt: (timeMs) => this.recentLog.positionAt(timeMs),
      readState: () => this.logState.fresh(),
      readPositionAt: (timeMs) => readPositionAt(this.jetStream(), this.settings.STREAM_NAME, timeMs),
    }
  }
}
