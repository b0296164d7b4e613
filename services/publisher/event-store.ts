import { randomUUID } from 'node:crypto'
import { headers, type MsgHdrs, type NatsConnection, nuid } from '@nats-io/transport-node'
import { Problem } from '../common/problem.ts'
import type { OpenSpan, Tracing } from '../common/tracing.ts'
import { eventTypeHeader, messageIdHeader, traceHeader } from '../contract/event.ts'
import { subjectOf } from '../contract/stream.ts'
import { type Ack, AckError, AckInbox } from './ack-inbox.ts'
import type { NewEvent } from './event-reader.ts'
import type { LogWatch } from './log-watch.ts'
import type { PublishMetrics } from './metrics.ts'

/** What the publisher is told, and only after the log acknowledged. */
export interface StoredEvent {
  id: string
  /** True when the same event id was stored before; `id` is that event’s. */
  duplicate: boolean
}

/** The NATS server's own limit. */
export const maxAtomicEvents = 1000

const errorCodes = {
  containsDuplicate: 10201,
  atomicDisabled: 10174,
  messageTooLarge: 10054,
}
/** Room in NATS's max_payload for an event's headers. */
const headerBytes = 1024

/** The log as publishers see it: events in, ids out. */
export class EventStore {
  private readonly connection: NatsConnection
  private readonly watch: LogWatch
  private readonly metrics: PublishMetrics
  private readonly inbox: AckInbox
  private readonly tracing: Tracing | undefined

  constructor(
    connection: NatsConnection,
    watch: LogWatch,
    metrics: PublishMetrics,
    settings: { STREAM_NAME: string; ACK_TIMEOUT_MS: number },
    tracing?: Tracing,
  ) {
    this.connection = connection
    this.watch = watch
    this.metrics = metrics
    this.inbox = new AckInbox(connection, settings.STREAM_NAME, settings.ACK_TIMEOUT_MS)
    this.tracing = tracing
  }

  /** Publishes that wait for their acknowledgement. */
  get pending(): number {
    return this.inbox.pending
  }

  /** @throws Problem `unavailable` when nothing can be stored now. */
  requireReady(): void {
    const reason = this.watch.notReady()
    if (reason !== undefined) throw unavailable(`Events can’t be stored right now: ${reason}. Try again.`)
  }

  /**
   * Stores one event. Calls that follow each other without waiting are stored in their order. `parent` is the
   * request's `traceparent`.
   *
   * @throws Problem `unavailable` when the log did not acknowledge, `too-large` when NATS can’t take it.
   */
  async publish(event: NewEvent, parent?: string): Promise<StoredEvent> {
    const started = performance.now()
    const span = this.beginSpan(event, parent)
    try {
      this.requireReady()
      this.requireRoom(event)
      const ack = await this.inbox.publish(subjectOf(event.topic), event.data, headersOf(event))
      const duplicate = ack.duplicate === true
      const stored = { id: await this.watch.idOf(ack.seq, duplicate), duplicate }
      this.metrics.acknowledged(duplicate, performance.now() - started)
      span?.end({ topic: event.topic, id: stored.id })
      return stored
    } catch (error) {
      span?.end({ topic: event.topic }, error)
      throw this.problemOf(error)
    }
  }

  /**
   * Stores all of `events` or none. Ones that were stored before, by an earlier try whose answer was lost,
   * count as stored.
   *
   * @throws Problem when nothing was stored, or when it is not known.
   */
  async publishAtomic(events: readonly NewEvent[], parent?: string): Promise<StoredEvent[]> {
    const started = performance.now()
    const spans = events.map((event) => this.beginSpan(event, parent))
    const endSpans = (stored?: readonly StoredEvent[], error?: unknown) => {
      for (const [index, { topic }] of events.entries())
        spans[index]?.end({ topic, id: stored?.[index]?.id }, error)
    }
    try {
      this.requireReady()
      for (const event of events) this.requireRoom(event)
      if (!this.watch.stream?.config.allow_atomic) throw atomicUnsupported()
      const stored = await this.commitNew(events)
      for (const { duplicate } of stored) this.metrics.acknowledged(duplicate, performance.now() - started)
      endSpans(stored)
      return stored
    } catch (error) {
      endSpans(undefined, error)
      throw this.problemOf(error)
    }
  }

  close(): void {
    this.inbox.close()
  }

  /** The server refuses a batch with a known id as a whole: then those are found and left out. */
  private async commitNew(events: readonly NewEvent[]): Promise<StoredEvent[]> {
    try {
      return await this.commit(events)
    } catch (error) {
      if (!(error instanceof AckError) || error.code !== errorCodes.containsDuplicate) throw error
    }
    const known = await Promise.all(events.map((event) => this.findDuplicate(event)))
    const fresh = events.filter((_, index) => known[index] === undefined)
    const stored = fresh.length > 0 ? await this.commit(fresh) : []
    return known.map((id) => (id === undefined ? (stored.shift() as StoredEvent) : { id, duplicate: true }))
  }

  private async commit(events: readonly NewEvent[]): Promise<StoredEvent[]> {
    const batch = nuid.next()
    const acks = events.map((event, index) => {
      const header = headersOf(event)
      header.set('Nats-Batch-Id', batch)
      header.set('Nats-Batch-Sequence', String(index + 1))
      const isLast = index === events.length - 1
      if (isLast) header.set('Nats-Batch-Commit', '1')
      const subject = subjectOf(event.topic)
      if (isLast) return this.inbox.publish(subject, event.data, header)
      // The first is answered so that a refusal of the whole batch has its own words; the last is the commit.
      if (index === 0) return this.inbox.publishFirst(subject, event.data, header)
      this.inbox.publishSilently(subject, event.data, header)
      return undefined
    })
    const ack = (await Promise.all(acks)).at(-1) as Ack
    if (ack.count !== events.length)
      throw new AckError('refused', `${ack.count} of ${events.length} events were stored`)
    return await Promise.all(
      events.map(async (_, index) => ({
        id: await this.watch.idOf(ack.seq - events.length + 1 + index, false),
        duplicate: false,
      })),
    )
  }

  /**
   * The id of the stored event with the same id as `event`; stores nothing. JetStream looks for a duplicate
   * before it checks this expectation, which can’t come true: a duplicate is acknowledged with its first
   * sequence, anything else refused. Replicated streams check another one first, and would keep the id as known
   * with the former.
   */
  private async findDuplicate(event: NewEvent): Promise<string | undefined> {
    if (event.id === undefined) return undefined
    const header = headersOf(event)
    if ((this.watch.stream?.config.num_replicas ?? 1) > 1)
      header.set('Nats-Expected-Last-Sequence', String(Number.MAX_SAFE_INTEGER))
    else header.set('Nats-Expected-Last-Msg-Id', randomUUID())
    try {
      const ack = await this.inbox.publish(subjectOf(event.topic), event.data, header)
      return await this.watch.idOf(ack.seq, true)
    } catch (error) {
      if (error instanceof AckError && error.reason === 'refused') return undefined
      throw error
    }
  }

  /** Undefined when the event is not traced; else its header carries the span on. */
  private beginSpan(event: NewEvent, parent: string | undefined): OpenSpan | undefined {
    const span = this.tracing?.publishing(parent)
    if (span) event.traceparent = span.traceparent
    return span
  }

  private requireRoom(event: NewEvent): void {
    const room = (this.connection.info?.max_payload ?? Number.POSITIVE_INFINITY) - headerBytes
    // A UTF-16 unit takes at most three bytes: most events need no counting.
    if (event.data.length * 3 > room && Buffer.byteLength(event.data) > room)
      throw new Problem('too-large', `The data is larger than the log takes (${room} bytes).`)
  }

  private problemOf(error: unknown): Problem {
    if (error instanceof AckError && error.reason === 'no-stream') void this.watch.look()
    return toProblem(error)
  }
}

function headersOf(event: NewEvent): MsgHdrs {
  const header = headers()
  if (event.type !== undefined) header.set(eventTypeHeader, event.type)
  if (event.id !== undefined) header.set(messageIdHeader, event.id)
  if (event.traceparent !== undefined) header.set(traceHeader, event.traceparent)
  return header
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (!(error instanceof AckError)) return unavailable(`The log failed: ${String(error)}.`)
  if (error.reason === 'timeout' || error.reason === 'closed')
    return unavailable(
      'The log did not acknowledge in time; whether the event is stored is not known. Publish it again with the same id.',
    )
  if (error.reason === 'no-stream') return unavailable('The log is not there right now. Publish it again.')
  if (error.code === errorCodes.messageTooLarge)
    return new Problem('too-large', 'The event is larger than the log takes.')
  if (error.code === errorCodes.atomicDisabled) return atomicUnsupported()
  return unavailable(`The log did not store the event: ${error.message}.`)
}

function unavailable(detail: string): Problem {
  return new Problem('unavailable', detail)
}

function atomicUnsupported(): Problem {
  return new Problem(
    'not-supported',
    'This log can’t store a batch atomically: that needs NATS 2.12 or newer and a stream with allow_atomic.',
  )
}
