import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers, type NatsConnection } from '@nats-io/transport-node'
import { waitUntil } from './wait.ts'

export interface Published {
  n: number
  topic: string
  sequence: number
}

export interface PublishOptions {
  type?: string
  id?: string
  headers?: Record<string, string>
}

/** Publishes straight to JetStream, as any NATS client may. */
export class LogWriter {
  readonly nats: NatsConnection
  readonly js: JetStreamClient
  readonly manager: JetStreamManager
  /** Everything that was acknowledged, in the order in which it was asked for. */
  readonly acknowledged: Published[] = []
  private n = 0
  private stopped = true

  private constructor(nats: NatsConnection, js: JetStreamClient, manager: JetStreamManager) {
    this.nats = nats
    this.js = js
    this.manager = manager
  }

  static async connect(url: string): Promise<LogWriter> {
    const nats = await connect({
      servers: url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 0,
    })
    return new LogWriter(
      nats,
      jetstream(nats),
      await jetstreamManager(nats, { checkAPI: false, timeout: 1_000 }),
    )
  }

  /** Returns when the log answers: after a restart of the server. */
  async untilBack(): Promise<void> {
    await waitUntil(() => this.manager.streams.info('EVENTS'), { what: 'the log to answer' })
  }

  /** Publishes `payload` and returns its sequence. */
  async publish(topic: string, payload: unknown, options: PublishOptions = {}): Promise<number> {
    const bytes = payload instanceof Uint8Array ? payload : JSON.stringify(payload)
    const head = headers()
    if (options.type !== undefined) head.set('Event-Type', options.type)
    for (const [name, value] of Object.entries(options.headers ?? {})) head.set(name, value)
    const ack = await this.js.publish(`events.${topic}`, bytes, {
      headers: head,
      timeout: 2_000,
      ...(options.id ? { msgID: options.id } : {}),
    })
    return ack.seq
  }

  /** Publishes `count` events, numbered on, over `topics` in turn. `padding` adds bytes to each. */
  async numbered(count: number, topics: string | string[], padding = 0): Promise<Published[]> {
    const list = [topics].flat()
    const filler = 'x'.repeat(padding)
    const done: Published[] = []
    while (done.length < count) {
      const batch = Array.from({ length: Math.min(500, count - done.length) }, (_, index) => {
        const n = ++this.n
        const topic = list[(done.length + index) % list.length] as string
        return this.publish(topic, filler ? { n, filler } : { n }).then((sequence) => ({
          n,
          topic,
          sequence,
        }))
      })
      done.push(...(await Promise.all(batch)))
    }
    this.acknowledged.push(...done)
    return done
  }

  /**
   * Publishes numbered events one after another until `stop` is called, each until it is acknowledged (with an id,
   * so that a repeat is stored once), whatever happens to the server meanwhile.
   */
  keepPublishing(topics: string | string[], intervalMs: number): { stop: () => Promise<Published[]> } {
    const list = [topics].flat()
    const done: Published[] = []
    this.stopped = false
    const run = async () => {
      while (!this.stopped) {
        const n = ++this.n
        const topic = list[n % list.length] as string
        for (;;) {
          try {
            const sequence = await this.publish(topic, { n }, { id: `n${n}` })
            done.push({ n, topic, sequence })
            break
          } catch {
            await new Promise((resolve) => setTimeout(resolve, 20))
          }
        }
        if (intervalMs > 0) await new Promise((resolve) => setTimeout(resolve, intervalMs))
      }
    }
    const running = run()
    return {
      stop: async () => {
        this.stopped = true
        await running
        this.acknowledged.push(...done)
        return done
      },
    }
  }

  async close(): Promise<void> {
    this.stopped = true
    await this.nats.close()
  }
}
