import type { Socket } from 'node:net'
import type { Log } from '../common/log.ts'
import { Problem } from '../common/problem.ts'
import type { Grants } from '../common/token.ts'
import { formatEventId } from '../contract/event-id.ts'
import type { GatewaySettings } from './config.ts'
import { Connection, type ConnectionHost } from './connection.ts'
import type { Connections } from './connections.ts'
import type { Metrics } from './metrics.ts'
import type { Replay } from './replay.ts'
import type { Router } from './router.ts'
import type { StreamOpener } from './routes/events.ts'
import {
  type CloseReason,
  closingBlock,
  commentBlock,
  firstBlock,
  gapBlock,
  liveBlock,
  positionBlock,
} from './sse-frame.ts'
import { type LogView, type Start, startPosition, type Wish } from './start-position.ts'

export interface StreamsOptions {
  settings: GatewaySettings
  log: Log
  connections: Connections
  router: Router
  metrics: Metrics
  view: LogView
  /** Has the router's work done at the end of this turn. */
  schedule: () => void
  /** Undefined while streams may begin, else why not. */
  notServing: () => string | undefined
}

/** Begins streams, tells them what is not an event, and ends them. */
export class Streams implements ConnectionHost, StreamOpener {
  private readonly options: StreamsOptions
  private replay: Replay | undefined

  constructor(options: StreamsOptions) {
    this.options = options
  }

  /** Replay hands subscribers back to here, so that each is made before the other. */
  useReplay(replay: Replay): void {
    this.replay = replay
  }

  requireRoom(subject: string, start?: Start): void {
    const reason = this.options.notServing()
    if (reason !== undefined)
      throw new Problem('unavailable', `No stream can begin here (${reason}); come back.`)
    if (start && start.epoch !== this.options.view.epoch) {
      throw new Problem('unavailable', 'The log has just been replaced; come back.')
    }
    this.options.connections.requireRoom(subject)
  }

  async startPosition(wish: Wish): Promise<Start> {
    try {
      return await startPosition(wish, this.options.view, Date.now())
    } catch (error) {
      if (error instanceof Problem) throw error
      this.options.log.warn({ error: String(error) }, 'a position could not be looked up')
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
    const { connections, router, metrics, view } = this.options
    const id = this.id(start.position)
    let block = head + firstBlock(this.retryMs(), id)
    if (start.gap) {
      metrics.gaps.inc({ reason: start.gap.reason })
      block += gapBlock(start.gap.requested, id, start.gap.reason)
    }
    const terms = {
      requestId,
      subject: grants.subject,
      // Jitter: streams that began together do not all come back together.
      maxAgeSecond: Math.ceil(
        (Date.now() + this.options.settings.MAX_AGE_MS * (1 - Math.random() / 5)) / 1000,
      ),
      tokenExpirySecond: Math.ceil(grants.expiresAt / 1000),
    }
    this.options.log.debug(
      {
        request: requestId,
        subject: grants.subject,
        topics: topics.length,
        position: start.position,
        resumed: start.resumed,
        gap: start.gap?.reason,
      },
      'stream began',
    )
    const connection = new Connection(socket, this, router.join(topics), start.position, start.resumed, terms)
    connections.add(connection)
    metrics.connects.inc()
    if (start.resumed) metrics.resumes.inc({ outcome: start.gap ? 'gap' : 'ok' })
    if (start.resumed && !start.gap && start.position >= view.recentFloor) {
      metrics.replays.inc({ source: 'memory', outcome: 'completed' })
    }
    if (connection.write(Buffer.from(block))) this.resume(connection)
    else if (connection.pushingBack) connection.state = 'blocked'
  }

  /** Lets a stream read on from its position. */
  resume(connection: Connection): void {
    this.options.router.resume(connection)
    this.options.schedule()
  }

  /** Tells a stream that it can't go on from its position (one of `epoch`), and goes on from `resumedAt`. */
  tellGap(connection: Connection, reason: 'reset' | 'expired', epoch: string, resumedAt: number): void {
    if (reason === 'expired' && connection.position > resumedAt) {
      // It was ahead of this pod's tail, so it has from another pod what is missing here.
      if (connection.pushingBack) connection.state = 'blocked'
      else this.resume(connection)
      return
    }
    this.options.metrics.gaps.inc({ reason })
    const requested = formatEventId(epoch, connection.position)
    const { requestId: request, subject } = connection.terms
    this.options.log.debug({ request, subject, requested, resumedAt, reason }, 'gap told')
    connection.position = resumedAt
    if (connection.tell(gapBlock(requested, this.id(resumedAt), reason))) this.resume(connection)
    else if (connection.state !== 'closed') connection.state = 'blocked'
  }

  /** Gives every stream that has everything its position, and the others a sign of life. */
  heartbeat(): void {
    this.options.router.heartbeat()
    this.options.schedule()
    const comment = Buffer.from(commentBlock)
    const { router } = this.options
    for (const subscriber of this.replay?.idle() ?? []) {
      if (!subscriber.write(comment)) this.replay?.block(subscriber)
    }
    for (const subscriber of router.early) if (!subscriber.write(comment)) router.block(subscriber)
  }

  heartbeatBlock(position: number): Buffer {
    return Buffer.from(positionBlock(this.id(position)))
  }

  /** When a client is to come back, milliseconds: drawn anew each time, so that clients spread out. */
  retryMs(): number {
    const { RETRY_MIN_MS, RETRY_MAX_MS } = this.options.settings
    return Math.round(RETRY_MIN_MS + Math.random() * (RETRY_MAX_MS - RETRY_MIN_MS))
  }

  drained(connection: Connection): void {
    this.options.connections.drained(connection)
    if (connection.state === 'replaying') this.replay?.drained(connection)
    else this.options.router.drained(connection)
    this.options.schedule()
  }

  blocked(connection: Connection, bytes: Buffer): void {
    this.options.connections.blocked(connection, bytes)
  }

  closed(connection: Connection, reason: CloseReason): void {
    const { connections, router, metrics, log } = this.options
    connections.remove(connection)
    this.replay?.forget(connection)
    const { state } = connection
    // While live, only the router knows the position.
    const position = router.positionOf(connection)
    router.leave(connection)
    metrics.closed.inc({ reason })
    const { requestId: request, subject } = connection.terms
    const topics = connection.group.topics.all.length
    const level = reason === 'too-slow' || reason === 'write-failed' ? 'info' : 'debug'
    log[level]({ request, subject, topics, state, position, reason }, 'stream ended')
  }

  liveBlock(position: number): string {
    return liveBlock(this.id(position))
  }

  closingBlock(connection: Connection, reason: CloseReason): string {
    const { router } = this.options
    const id = connection.state === 'live' ? this.id(router.positionOf(connection)) : undefined
    return closingBlock(reason, this.retryMs(), id)
  }

  private id(position: number): string {
    return formatEventId(this.options.view.epoch, position)
  }
}
