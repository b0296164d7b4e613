import type { JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { LogState } from '../../services/common/log-stream.ts'
import { covers } from '../../services/contract/topic.ts'
import type { Random } from '../support/random.ts'
import type { ModelLog } from './model-log.ts'

interface Consumer {
  /** The server that it is on, and the newest event that this one has. */
  server: Server
  after: number
  topics: string[] | undefined
  delivered: number
  request: { left: number; reply: string; endsAt: number } | undefined
}

/** `near` is behind by less than half the recent log, and nobody says so; `far` by more, and the leader says so. */
type Server = 'leader' | 'near' | 'far'

type Callback = (error: Error | null, message: unknown) => void

/**
 * What replay asks of JetStream, served from the model: consumers read by requests, on servers whose copy of the log may
 * be behind. It answers when `work` is called, a few messages at a time, and at random it fails, ends a request early or
 * loses its consumers.
 */
export class FakeJetStream {
  troubles = 0.03
  private readonly log: ModelLog
  private readonly random: Random
  private readonly now: () => number
  private readonly consumers = new Map<string, Consumer>()
  private readonly inboxes = new Map<string, Callback>()
  private waiting: (() => void)[] = []
  private inboxCount = 0
  private readonly reached = { near: 0, far: 0 }
  private readonly middle: () => number

  /** `middle` is the recent log's. */
  constructor(log: ModelLog, random: Random, now: () => number, middle: () => number) {
    this.log = log
    this.random = random
    this.now = now
    this.middle = middle
  }

  async readState(): Promise<LogState> {
    await this.answer()
    const { epoch, first: firstSequence, last: lastSequence } = this.log
    return { epoch, firstSequence, lastSequence, behind: ['far'] }
  }

  async readPositionAt(timeMs: number): Promise<number> {
    await this.answer()
    let event = this.log.next(0)
    while (event && event.timeMs < timeMs) event = this.log.next(event.sequence)
    return event ? event.sequence - 1 : this.log.last
  }

  /** Consumers in memory are gone, as after a restart of the server or with their stream. */
  loseConsumers(): void {
    for (const [name, consumer] of this.consumers) {
      this.consumers.delete(name)
      if (consumer.request) this.status(consumer.request.reply, 409, 'Consumer Deleted', 0)
    }
  }

  /** Answers some of what was asked. */
  work(): void {
    for (const server of ['near', 'far'] as const) {
      if (this.random.chance(0.3))
        this.reached[server] = this.random.between(this.reach(server), this.log.last)
    }
    for (const answer of this.waiting.splice(0)) answer()
    for (const [name, consumer] of this.consumers) this.deliver(name, consumer)
  }

  readonly nats = {
    info: { max_payload: 1_024 },
    subscribe: (_: string, { callback }: { callback: Callback }) => {
      const subject = `inbox${++this.inboxCount}`
      this.inboxes.set(subject, callback)
      return { getSubject: () => subject, unsubscribe: () => this.inboxes.delete(subject) }
    },
    publish: (subject: string, payload: string, { reply }: { reply: string }) => {
      const consumer = this.consumers.get(subject.split('.').at(-1) as string)
      const { batch, expires } = JSON.parse(payload) as { batch: number; expires: number }
      if (!consumer) this.waiting.push(() => this.status(reply, 503, '', 0))
      else consumer.request = { left: batch, reply, endsAt: this.now() + expires / 1e6 }
    },
  } as unknown as NatsConnection

  readonly manager = {
    prefix: '$JS.API',
    consumers: {
      add: async (_: string, config: Record<string, unknown>) => {
        await this.answer()
        const filters =
          config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : undefined)
        const consumer: Consumer = {
          server: this.troubles === 0 ? 'leader' : this.random.pick(['leader', 'near', 'far']),
          after: (config.opt_start_seq as number) - 1,
          topics: (filters as string[] | undefined)?.map((subject) => subject.slice('events.'.length)),
          delivered: 0,
          request: undefined,
        }
        this.consumers.set(config.name as string, consumer)
        return { num_pending: this.pending(consumer), cluster: { leader: consumer.server } }
      },
      delete: async (_: string, name: string) => this.consumers.delete(name),
    },
  } as unknown as JetStreamManager

  private async answer(): Promise<void> {
    const fails = this.random.chance(this.troubles)
    await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (fails) throw new Error('JetStream does not answer')
  }

  private wants(consumer: Consumer, topic: string): boolean {
    return consumer.topics?.some((filter) => covers(filter, topic)) ?? true
  }

  private pending(consumer: Consumer): number {
    const reach = this.reach(consumer.server)
    return this.log.countAfter(consumer.after, reach, (topic) => this.wants(consumer, topic))
  }

  /** The newest event that a server has. */
  private reach(server: Server): number {
    if (server === 'leader') return this.log.last
    const reached = Math.min(this.reached[server], this.log.last)
    return server === 'near' ? Math.max(reached, Math.min(this.middle(), this.log.last)) : reached
  }

  private deliver(name: string, consumer: Consumer): void {
    for (let i = this.random.between(1, 6); i > 0 && consumer.request; i--) {
      const { request } = consumer
      let event = this.log.next(consumer.after)
      while (event && !this.wants(consumer, event.topic)) event = this.log.next(event.sequence)
      if (!event || event.sequence > this.reach(consumer.server)) {
        const over = this.now() >= request.endsAt
        if (over) consumer.request = undefined
        this.status(request.reply, over ? 408 : 100, 'Request Timeout', request.left)
        return
      }
      if (this.random.chance(this.troubles)) {
        consumer.request = undefined
        this.status(request.reply, 409, 'Message Size Exceeds MaxBytes', request.left)
        return
      }
      consumer.after = event.sequence
      if (--request.left === 0) consumer.request = undefined
      const place = `${event.sequence}.${++consumer.delivered}.${event.timeMs}000000.${this.pending(consumer)}`
      this.inboxes.get(request.reply)?.(null, {
        subject: `events.${event.topic}`,
        data: event.payload,
        reply: `$JS.ACK.EVENTS.${name}.1.${place}`,
      })
      // As nats-server does, and perhaps only after the next request has come.
      if (!consumer.request) this.waiting.push(() => this.status(request.reply, 409, 'Batch Completed', 0))
    }
  }

  private status(reply: string, code: number, description: string, left: number): void {
    const counts = left > 0 || description === 'Batch Completed'
    const values = new Map(counts ? [['Nats-Pending-Messages', String(left)]] : [])
    this.inboxes.get(reply)?.(null, {
      headers: {
        code,
        description,
        get: (key: string) => values.get(key) ?? '',
        has: (key: string) => values.has(key),
      },
    })
  }
}
