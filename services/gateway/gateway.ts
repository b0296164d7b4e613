import type { Socket } from 'node:net'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { createHttpApp } from '../common/http-app.ts'
import type { Log } from '../common/log.ts'
import { readLogState, readPositionAt } from '../common/log-stream.ts'
import { connectNats } from '../common/nats.ts'
import { serveOperations } from '../common/operations.ts'
import { Problem } from '../common/problem.ts'
import { type Grants, TokenVerifier } from '../common/token.ts'
import { formatEventId } from '../contract/event-id.ts'
import type { GatewaySettings } from './config.ts'
import { Connection, type ConnectionHost } from './connection.ts'
import { Connections } from './connections.ts'
import { drain } from './drain.ts'
import { Flusher } from './flusher.ts'
import { LogStateReader } from './log-state.ts'
import { LogTail, type RestartReason } from './log-tail.ts'
import { createMetrics } from './metrics.ts'
import { RecentLog } from './recent-log.ts'
import { Replay } from './replay.ts'
import { Router, type SubscriberState } from './router.ts'
import { answerProblem, eventsRoute, type StreamOpener } from './routes/events.ts'
import {
  type CloseReason,
  closingBlock,
  commentBlock,
  encodeEvent,
  firstBlock,
  gapBlock,
  type LogEvent,
  liveBlock,
  positionBlock,
} from './sse-frame.ts'
import { type LogView, type Start, startPosition, type Wish } from './start-position.ts'

/** Not ready any more once the log can’t be followed for this long: other pods may be better off. */
const lostPatienceMs = 5_000
const drainGraceMs = 5_000

/**
 * The gateway: joins the parts, and is the only file that knows them all. Events go tail → recent log → router →
 * connections; what is older than the recent log comes by way of replay.
 *
 *   1. start    the operations port answers at once, and streams are refused with a time to come back
 *   2. run      ready when the tail has caught up
 *   3. drain    on `stop`: not ready, new streams are sent elsewhere, open ones end over the drain window
 *   4. stopped
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

class Gateway implements ConnectionHost, StreamOpener, LogView {
  private readonly settings: GatewaySettings
  private readonly log: Log
  private readonly recentLog: RecentLog
  private readonly router: Router
  private readonly flusher: Flusher
  private readonly connections: Connections
  private readonly metrics: ReturnType<typeof createMetrics>
  private readonly tokens: TokenVerifier
  private manager: JetStreamManager | undefined
  private tail: LogTail | undefined
  private replay: Replay | undefined
  private logState: LogStateReader | undefined
  private draining = false
  private readonly cleanups: (() => unknown)[] = []

  constructor(settings: GatewaySettings, log: Log) {
    this.settings = settings
    this.log = log
    this.tokens = TokenVerifier.create(settings)
    if (this.tokens.open) log.warn('AUTH_MODE=off: everybody may read everything')
    this.recentLog = new RecentLog({ maxBytes: settings.RECENT_LOG_BYTES })
    this.router = new Router({
      recentLog: this.recentLog,
      replay: (subscriber) => this.replay?.take(subscriber),
      heartbeat: (position) => Buffer.from(positionBlock(this.id(position))),
    })
    this.connections = new Connections(
      {
        maxConnections: settings.MAX_CONNECTIONS,
        maxConnectionsPerSubject: settings.MAX_CONNECTIONS_PER_SUBJECT,
        stallTimeoutMs: settings.STALL_TIMEOUT_MS,
        maxUnsentBytes: settings.MAX_UNSENT_BYTES,
        catchUpGraceMs: 30_000,
      },
      Date.now(),
    )
    this.metrics = this.createMetrics()
    this.flusher = new Flusher({
      router: this.router,
      recentLog: this.recentLog,
      maxUnflushedBytes: settings.RECENT_LOG_BYTES / 4,
      pause: () => this.tail?.pause(),
      unpause: () => this.tail?.unpause(),
      onFlushed: (latencyMs) => this.metrics.deliveryLatency.observe(latencyMs / 1000),
    })
  }

  /** Opens the ports. @throws when one is taken. */
  async listen(): Promise<void> {
    const { HOST, PORT, METRICS_PORT } = this.settings
    const operations = await serveOperations(HOST, METRICS_PORT, this.metrics.registry, {
      notReady: () => this.notReady(),
    })
    const app = createHttpApp({
      log: this.log,
      maxHeaderBytes: this.settings.MAX_HEADER_BYTES,
      headersTimeoutMs: this.settings.HEADERS_TIMEOUT_MS,
      answer: (request, reply, problem) => {
        this.metrics.refused.inc({ reason: problem.problem })
        answerProblem(request, reply, problem, this.retryMs())
      },
    })
    eventsRoute(app, {
      tokens: this.tokens,
      opener: this,
      maxTopics: this.settings.MAX_TOPICS,
      maxUrlBytes: this.settings.MAX_URL_BYTES,
      corsOrigins: this.settings.CORS_ORIGINS,
    })
    await app.listen({ host: HOST, port: PORT, backlog: 4_096 })
    const second = setInterval(() => this.connections.tick(Date.now(), performance.now()), 1_000)
    const heartbeat = setInterval(() => this.heartbeat(), this.settings.HEARTBEAT_INTERVAL_MS)
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
    const nats = await connectNats(settings, 'sse-gateway', log)
    const manager = await jetstreamManager(nats, { timeout: 2_000, checkAPI: false })
    this.manager = manager
    this.logState = new LogStateReader(() => readLogState(manager, settings.STREAM_NAME))
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
      readLogState: () => this.readState(),
      done: (subscriber) => this.resume(subscriber as Connection),
      expired: (subscriber, resumedAt) =>
        this.tellGap(subscriber as Connection, 'expired', this.epoch, resumedAt),
      onOutcome: (outcome) => this.metrics.replays.inc({ source: 'stream', outcome }),
      onDelivered: (events, bytes) => {
        this.router.counters.deliveredEvents += events
        this.router.counters.deliveredBytes += bytes
      },
    })
    this.cleanups.push(
      () => this.tail?.stop(),
      () => nats.close(),
    )
    this.tail.start()
  }

  /** Drains and ends. Resolves when no stream is left and the ports are closed. */
  async stop(): Promise<void> {
    if (this.draining) return
    this.draining = true
    this.log.info({ connections: this.connections.all.size }, 'draining')
    await drain({
      connections: this.connections,
      windowMs: this.settings.DRAIN_WINDOW_MS,
      graceMs: drainGraceMs,
    })
    for (const cleanup of this.cleanups) await cleanup()
    this.log.info('stopped')
  }

  private notReady(): string | undefined {
    if (this.draining) return 'draining'
    if (!this.tail?.ready) return 'waiting for the log'
    const { lostSince } = this.tail
    if (lostSince !== undefined && performance.now() - lostSince > lostPatienceMs)
      return 'the log can’t be followed'
    return undefined
  }

  // The path of an event.

  private take(event: LogEvent): void {
    const frame = encodeEvent(this.epoch, event)
    this.recentLog.append(event.sequence, event.topic, event.timeMs, frame)
    this.router.append(event.sequence, event.topic, frame)
    this.flusher.note(event.sequence, event.timeMs)
    this.flusher.schedule()
  }

  private restart(reason: RestartReason, epoch: string, position: number): void {
    this.recentLog.restart(position)
    this.router.restart(position, this.connections.all)
    this.replay?.restart()
    this.flusher.restart()
    const previous = this.epoch
    this.epoch = epoch
    if (reason === 'first') return
    this.log.warn(
      { reason, epoch, position, connections: this.connections.all.size },
      'telling every stream of a gap',
    )
    for (const connection of this.connections.all) this.tellGap(connection, reason, previous, position)
  }

  private tellGap(
    connection: Connection,
    reason: 'reset' | 'expired',
    epoch: string,
    resumedAt: number,
  ): void {
    this.metrics.gaps.inc({ reason })
    const requested = formatEventId(epoch, connection.position)
    connection.position = resumedAt
    if (connection.tell(gapBlock(requested, this.id(resumedAt), reason))) this.resume(connection)
    else if (connection.state !== 'closed') connection.state = 'blocked'
  }

  private heartbeat(): void {
    this.router.heartbeat()
    this.flusher.schedule()
    // Whoever waits for a replay has no position to be told, but must not look dead.
    const comment = Buffer.from(commentBlock)
    for (const subscriber of this.replay?.idle() ?? []) (subscriber as Connection).sign(comment)
    for (const subscriber of this.router.early) (subscriber as Connection).sign(comment)
  }

  private resume(connection: Connection): void {
    this.router.resume(connection)
    this.flusher.schedule()
  }

  // What a stream needs to begin.

  requireRoom(subject: string, start?: Start): void {
    if (this.draining) throw new Problem('unavailable', 'This pod is going away; come back.')
    if (!this.tail?.ready || (start && start.epoch !== this.epoch)) {
      throw new Problem('unavailable', 'The log can’t be read yet; come back.')
    }
    this.connections.requireRoom(subject)
  }

  async startPosition(wish: Wish): Promise<Start> {
    try {
      return await startPosition(wish, this, Date.now())
    } catch (error) {
      if (error instanceof Problem) throw error
      this.log.warn({ error: String(error) }, 'a position could not be looked up')
      throw new Problem('unavailable', 'The log can’t be asked for this position right now; come back.')
    }
  }

  open(
    socket: Socket,
    head: string,
    start: Start,
    topics: string[],
    grants: Grants,
    requestId: string,
  ): void {
    const id = this.id(start.position)
    let block = head + firstBlock(this.retryMs(), id)
    if (start.gap) {
      this.metrics.gaps.inc({ reason: start.gap.reason })
      block += gapBlock(start.gap.requested, id, start.gap.reason)
    }
    const connection = new Connection(socket, this, this.router.join(topics), start.position, start.resumed, {
      requestId,
      subject: grants.subject,
      ...this.end(grants),
    })
    this.connections.add(connection)
    this.metrics.connects.inc()
    if (start.resumed && start.position >= this.recentLog.floor)
      this.metrics.replays.inc({ source: 'memory', outcome: 'completed' })
    if (connection.write(Buffer.from(block))) this.resume(connection)
    else if (connection.pushingBack) connection.state = 'blocked'
  }

  private end(grants: Grants): { endsAt: number; endReason: 'max-age' | 'token-expired' } {
    const aged = Date.now() + this.settings.MAX_AGE_MS * (1 - Math.random() / 5)
    return grants.expiresAt < aged
      ? { endsAt: grants.expiresAt, endReason: 'token-expired' }
      : { endsAt: aged, endReason: 'max-age' }
  }

  retryMs(): number {
    const { RETRY_MIN_MS, RETRY_MAX_MS } = this.settings
    return Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS))
  }

  // What connections tell.

  drained(connection: Connection): void {
    this.connections.drained(connection)
    if (connection.state === 'replaying') this.replay?.drained(connection)
    else this.router.drained(connection)
    this.flusher.schedule()
  }

  blocked(connection: Connection, bytes: Buffer): void {
    this.connections.blocked(connection, bytes)
  }

  closed(connection: Connection, reason: CloseReason): void {
    this.connections.remove(connection)
    this.replay?.forget(connection)
    this.router.leave(connection)
    this.metrics.closed.inc({ reason })
    this.log.debug(
      { requestId: connection.terms.requestId, subject: connection.terms.subject, reason },
      'stream ended',
    )
  }

  liveBlock(position: number): string {
    return liveBlock(this.id(position))
  }

  closingBlock(connection: Connection, reason: CloseReason): string {
    const id = connection.state === 'live' ? this.id(this.router.positionOf(connection)) : undefined
    return closingBlock(reason, this.retryMs(), id)
  }

  // What is known of the log.

  epoch = ''

  get tailPosition(): number {
    return this.recentLog.head
  }

  get boundary(): number {
    return this.router.boundary
  }

  get recentFloor(): number {
    return this.recentLog.floor
  }

  recentPositionAt(timeMs: number): number | undefined {
    return this.recentLog.positionAt(timeMs)
  }

  readState() {
    return (this.logState as LogStateReader).fresh()
  }

  readPositionAt(timeMs: number): Promise<number> {
    return readPositionAt(this.manager as JetStreamManager, this.settings.STREAM_NAME, timeMs)
  }

  private id(position: number): string {
    return formatEventId(this.epoch, position)
  }

  private createMetrics() {
    return createMetrics({
      connections: () => {
        const counts: Record<Exclude<SubscriberState, 'closed'>, number> = {
          live: 0,
          behind: 0,
          blocked: 0,
          early: 0,
          replaying: 0,
        }
        for (const { state } of this.connections.all) if (state !== 'closed') counts[state]++
        return counts
      },
      counters: () => this.router.counters,
      tailLag: () => this.tail?.lag ?? 0,
      tailPosition: () => this.recentLog.head,
      tailReopened: () => this.tail?.reopened ?? 0,
      recentLogBytes: () => this.recentLog.bytes,
      recentLogAgeSeconds: () => {
        const { oldestTimeMs } = this.recentLog
        return oldestTimeMs === undefined ? 0 : Math.max(0, Date.now() - oldestTimeMs) / 1000
      },
      recentLogEvents: () => this.recentLog.head - this.recentLog.floor,
      unsentBytes: () => this.connections.heldBytes,
      groups: () => this.router.groups.size,
      replayWaiting: () => this.replay?.waiting.size ?? 0,
      draining: () => this.draining,
    })
  }
}
