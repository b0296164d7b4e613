import { AckPolicy, DeliverPolicy, type JetStreamManager, ReplayPolicy } from '@nats-io/jetstream'
import { createInbox, type Msg, type NatsConnection, type Subscription } from '@nats-io/transport-node'
import { eventTypeHeader, isEventType, traceHeader } from '../contract/event.ts'
import { subjectOf, topicOf } from '../contract/stream.ts'
import type { LogEvent } from './sse-frame.ts'

/** Why a reader can't go on. The owner opens another one behind the last event that it got. */
export type LostReason = 'silent' | 'deleted' | 'not-contiguous' | 'failed'

export interface LogReaderOptions {
  nats: NatsConnection
  manager: JetStreamManager
  stream: string
  /** Names the consumer for whoever looks at the NATS server; made unique here. */
  name: string
  /** The first event delivered is the first one after this sequence. */
  afterSequence: number
  /** Only events of these topics, for a reader that wants few of many. */
  topics?: readonly string[]
  /** How long one request for events stands. */
  expiresMs: number
  /** Most bytes that the server sends for one request; raised to fit the largest message that it takes. */
  requestBytes: number
  onEvent: (event: LogEvent) => void
  /** A request has ended with `missing` events undelivered: there were no more. */
  onRequestEnd: (missing: number) => void
  onLost: (reason: LostReason, detail: string) => void
}

/** With a heartbeat a second, this silence while a request stands means that the consumer is gone. */
const silenceMs = 2_200
const heartbeatMs = 1_000
/** What the server counts beside the payload: subject, reply and headers. */
const envelopeBytes = 65_536
const nanos = 1_000_000

/**
 * One ephemeral consumer, opened at an explicit sequence and read by requests, so that the reader sets the pace.
 * It checks by the consumer's own sequence that nothing between the server and here was lost; stream sequences may
 * have rightful holes. It never recovers by itself: it says that it is lost, once, and its owner opens another.
 */
export class LogReader {
  /** Events that the server still had for this reader when it sent the last one. */
  pending = 0
  /** Events asked for and not delivered yet. */
  outstanding = 0
  /** Name of the server that the consumer is on; undefined where NATS does not say. */
  server: string | undefined
  private readonly options: LogReaderOptions
  private readonly consumer: string
  private subscription: Subscription | undefined
  private delivered = 0
  private heardAt = performance.now()
  private silentTicks = 0
  private watch: NodeJS.Timeout | undefined
  private closed = false

  private constructor(options: LogReaderOptions) {
    this.options = options
    this.consumer = `${options.name}-${crypto.randomUUID().slice(0, 8)}`
  }

  /** Creates the consumer. @throws when JetStream refuses or does not answer. */
  static async open(options: LogReaderOptions): Promise<LogReader> {
    const reader = new LogReader(options)
    const filters = options.topics?.map(subjectOf)
    const info = await options.manager.consumers.add(options.stream, {
      name: reader.consumer,
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: options.afterSequence + 1,
      replay_policy: ReplayPolicy.Instant,
      mem_storage: true,
      num_replicas: 1,
      // The server forgets a reader whose pod has vanished.
      inactive_threshold: 10_000 * nanos,
      ...(filters?.length === 1 ? { filter_subject: filters[0] as string } : {}),
      ...(filters && filters.length > 1 ? { filter_subjects: filters } : {}),
    })
    reader.pending = info.num_pending
    reader.server = info.cluster?.leader
    reader.listen()
    return reader
  }

  /** Asks for up to `count` more events. */
  request(count: number): void {
    if (this.closed) return
    if (this.outstanding === 0) this.heard()
    this.outstanding += count
    const { nats, manager, stream, expiresMs, requestBytes } = this.options
    const request = {
      batch: count,
      max_bytes: Math.max(requestBytes, (nats.info?.max_payload ?? 1_048_576) + envelopeBytes),
      expires: expiresMs * nanos,
      idle_heartbeat: heartbeatMs * nanos,
    }
    const prefix = (manager as { prefix?: string }).prefix ?? '$JS.API'
    try {
      nats.publish(`${prefix}.CONSUMER.MSG.NEXT.${stream}.${this.consumer}`, JSON.stringify(request), {
        reply: (this.subscription as Subscription).getSubject(),
      })
    } catch (error) {
      this.lose('failed', String(error))
    }
  }

  /** Stops, and deletes the consumer on the server without waiting for it. */
  close(): void {
    if (this.closed) return
    this.closed = true
    clearInterval(this.watch)
    this.subscription?.unsubscribe()
    const { manager, stream } = this.options
    manager.consumers.delete(stream, this.consumer).catch(() => undefined)
  }

  private listen(): void {
    const { nats } = this.options
    this.subscription = nats.subscribe(createInbox(), {
      callback: (error, message) => {
        if (this.closed) return
        if (error) this.lose('failed', error.message)
        else this.receive(message)
      },
    })
    this.watch = setInterval(() => this.checkSilence(), 500)
    this.watch.unref()
  }

  private receive(message: Msg): void {
    this.heard()
    const place = message.reply ? parsePlace(message.reply) : undefined
    if (!place) this.receiveStatus(message)
    else if (place.delivered === this.delivered + 1) this.receiveEvent(message, place)
    else this.lose('not-contiguous', `delivery ${place.delivered} follows ${this.delivered}`)
  }

  private receiveEvent(message: Msg, place: Place): void {
    this.delivered = place.delivered
    this.pending = place.pending
    this.outstanding--
    const { headers } = message
    const type = headers?.get(eventTypeHeader)
    this.options.onEvent({
      sequence: place.sequence,
      topic: topicOf(message.subject),
      type: type && isEventType(type) ? type : undefined,
      timeMs: place.timeMs,
      payload: message.data,
      traceparent: headers?.get(traceHeader) || undefined,
    })
    if (this.outstanding === 0 && !this.closed) this.options.onRequestEnd(0)
  }

  /** Status messages: ADR-13 of nats-architecture-and-design. */
  private receiveStatus(message: Msg): void {
    const code = message.headers?.code ?? 0
    const description = message.headers?.description ?? ''
    if (code === 100) return
    if (code === 404 || code === 408 || (code === 409 && message.headers?.has('Nats-Pending-Messages'))) {
      const missing = Number(message.headers?.get('Nats-Pending-Messages') || this.outstanding)
      this.outstanding = Math.max(0, this.outstanding - missing)
      if (code === 409 && /deleted|leadership|shutdown/i.test(description)) this.lose('deleted', description)
      // `409 Batch Completed` comes, with none missing, after a request that events have ended already.
      else if (missing > 0) this.options.onRequestEnd(missing)
      return
    }
    // 503: nobody answers for this consumer. 409 without a count: the consumer or its server is going away.
    this.lose(code === 409 || code === 503 ? 'deleted' : 'failed', `${code} ${description}`)
  }

  private heard(): void {
    this.heardAt = performance.now()
    this.silentTicks = 0
  }

  /** Two looks in a row, since after a long turn of the event loop the first comes before what has arrived. */
  private checkSilence(): void {
    if (this.outstanding === 0 || performance.now() - this.heardAt < silenceMs) this.silentTicks = 0
    else if (++this.silentTicks >= 2) this.lose('silent', `no heartbeat for ${silenceMs} ms`)
  }

  private lose(reason: LostReason, detail: string): void {
    if (this.closed) return
    this.close()
    this.options.onLost(reason, detail)
  }
}

interface Place {
  sequence: number
  /** The consumer's own sequence. */
  delivered: number
  timeMs: number
  pending: number
}

/**
 * Reads the reply subject of a delivery:
 * `$JS.ACK.<stream>.<consumer>.<tries>.<stream sequence>.<consumer sequence>.<ns>.<pending>`, with
 * `<domain>.<account>` before the stream in the newer form. Undefined for anything else.
 */
export function parsePlace(reply: string): Place | undefined {
  if (!reply.startsWith('$JS.ACK.')) return undefined
  let count = 0
  for (let at = reply.indexOf('.'); at !== -1; at = reply.indexOf('.', at + 1)) dots[count++] = at
  dots[count] = -1
  const first = count === 8 ? 4 : count >= 10 ? 6 : -1
  if (first === -1) return undefined
  return {
    sequence: digits(reply, first),
    delivered: digits(reply, first + 1),
    // Nanoseconds without their last six digits.
    timeMs: digits(reply, first + 2, 6),
    pending: digits(reply, first + 3),
  }
}

// Used again for each delivery. Without splitting it into strings the tail took 41 to 49 % of a core at 50,000 events/s,
// with it 63 to 69 %.
const dots: number[] = []

/** The number behind dot `index`, up to the next dot or the end, less its last `cut` digits. */
function digits(text: string, index: number, cut = 0): number {
  const next = dots[index + 1] as number
  const end = (next > (dots[index] as number) ? next : text.length) - cut
  let value = 0
  for (let at = (dots[index] as number) + 1; at < end; at++) value = value * 10 + text.charCodeAt(at) - 48
  return value
}
