import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node'

/** What JetStream answers to a publish. */
export interface Ack {
  stream: string
  seq: number
  duplicate?: boolean
  /** Messages of an atomic batch; their sequences end with `seq`. */
  count?: number
}

export type AckFailure = 'timeout' | 'no-stream' | 'refused' | 'closed'

export class AckError extends Error {
  override readonly name = 'AckError'
  readonly reason: AckFailure
  /** JetStream's error code when it refused. */
  readonly code: number | undefined

  constructor(reason: AckFailure, message: string, code?: number) {
    super(message)
    this.reason = reason
    this.code = code
  }
}

interface Waiting {
  /** Undefined for the first message of an atomic batch, which JetStream answers without a word. */
  resolve(ack?: Ack): void
  /** True for that message. */
  emptyIsEnough: boolean
  reject(error: AckError): void
  deadline: number
}

interface Outgoing {
  /** Of the waiting one; undefined when no answer is wanted. */
  number: number | undefined
  subject: string
  payload: string
  headers: MsgHdrs
}

interface Reply extends Partial<Ack> {
  error?: { code: number; err_code?: number; description?: string }
}

/**
 * Publishes and collects acknowledgements without waiting for one before sending the next. Measured against
 * `JetStreamClient.publish` (3.4): 7 µs instead of 32 µs of CPU per event, since there is one subscription, one
 * timer and no copied options.
 *
 * What the requests of one turn of the event loop publish leaves in one write, where the NATS client would write once
 * for each: 60 µs of CPU per single POST instead of 170, measured with 64 clients.
 */
export class AckInbox {
  private readonly connection: NatsConnection
  private readonly stream: string
  private readonly timeoutMs: number
  private readonly prefix: string
  private readonly subscription: Subscription
  private readonly sweeper: NodeJS.Timeout
  // In order of publishing and so, with one time limit for all, of deadline.
  private readonly waiting = new Map<number, Waiting>()
  private outgoing: Outgoing[] = []
  private lastNumber = 0

  /** `stream` is the one whose acknowledgements count. */
  constructor(connection: NatsConnection, stream: string, timeoutMs: number) {
    this.connection = connection
    this.stream = stream
    this.timeoutMs = timeoutMs
    this.prefix = `${createInbox()}.`
    this.subscription = connection.subscribe(`${this.prefix}*`, {
      callback: (_error, message) => this.receive(message),
    })
    this.sweeper = setInterval(() => this.sweep(performance.now()), Math.min(100, timeoutMs))
    this.sweeper.unref()
  }

  get pending(): number {
    return this.waiting.size
  }

  /** Resolves when JetStream has acknowledged. @throws AckError */
  publish(subject: string, payload: string, headers: MsgHdrs): Promise<Ack> {
    return this.send(subject, payload, headers, false) as Promise<Ack>
  }

  /** Publishes the first message of an atomic batch. Resolves when JetStream has taken it. @throws AckError */
  async publishFirst(subject: string, payload: string, headers: MsgHdrs): Promise<void> {
    await this.send(subject, payload, headers, true)
  }

  /** Publishes, in order with the others, what is not acknowledged by itself. */
  publishSilently(subject: string, payload: string, headers: MsgHdrs): void {
    this.enqueue({ number: undefined, subject, payload, headers })
  }

  close(): void {
    clearInterval(this.sweeper)
    this.subscription.unsubscribe()
    this.sweep(Number.POSITIVE_INFINITY)
  }

  private send(
    subject: string,
    payload: string,
    headers: MsgHdrs,
    emptyIsEnough: boolean,
  ): Promise<Ack | undefined> {
    const number = ++this.lastNumber
    return new Promise((resolve, reject) => {
      const deadline = performance.now() + this.timeoutMs
      this.waiting.set(number, { resolve, reject, emptyIsEnough, deadline })
      this.enqueue({ number, subject, payload, headers })
    })
  }

  private enqueue(message: Outgoing): void {
    if (this.outgoing.push(message) === 1) setImmediate(() => this.flush())
  }

  private flush(): void {
    const messages = this.outgoing
    this.outgoing = []
    for (const { number, subject, payload, headers } of messages) {
      try {
        const reply = number === undefined ? undefined : this.prefix + number
        this.connection.publish(subject, payload, reply === undefined ? { headers } : { reply, headers })
      } catch (error) {
        if (number === undefined) continue
        this.waiting.get(number)?.reject(new AckError('closed', String(error)))
        this.waiting.delete(number)
      }
    }
  }

  /** Whoever subscribes to the subject may answer too: only the stream's own words count, others are not heard. */
  private receive(message: Msg): void {
    const number = Number(message.subject.slice(this.prefix.length))
    const waiting = this.waiting.get(number)
    if (!waiting) return
    if (message.data.length === 0) {
      // 503 is NATS's word for "nobody listens on this subject": no stream, or one without a leader.
      if (message.headers?.code === 503) waiting.reject(new AckError('no-stream', 'no stream answers'))
      else if (waiting.emptyIsEnough) waiting.resolve()
      else return
    } else {
      const reply = parseReply(message)
      if (reply?.error) {
        const { err_code: code, description } = reply.error
        waiting.reject(new AckError('refused', description ?? 'refused', code))
      } else if (reply?.stream === this.stream && reply.seq) waiting.resolve(reply as Ack)
      else return
    }
    this.waiting.delete(number)
  }

  private sweep(now: number): void {
    for (const [number, waiting] of this.waiting) {
      if (waiting.deadline > now) return
      this.waiting.delete(number)
      waiting.reject(new AckError('timeout', `no acknowledgement within ${this.timeoutMs} ms`))
    }
  }
}

function parseReply(message: Msg): Reply | undefined {
  try {
    return message.json<Reply | null>() ?? undefined
  } catch {
    return undefined
  }
}
