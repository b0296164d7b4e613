import { setTimeout as sleep } from 'node:timers/promises'
import { post } from './publish.ts'
import { waitUntil } from './wait.ts'

const retryMs = 50

/** Publishes `{"n":1}`, `{"n":2}`, … at a steady rate; what is not acknowledged is sent again with the same id. */
export class SteadyPublisher {
  /** The last number that was acknowledged. */
  last = 0
  private running = true
  private readonly done: Promise<void>
  private readonly url: string
  private readonly topicOf: (n: number) => string

  constructor(url: string, topicOf: (n: number) => string, eventsPerSecond: number) {
    this.url = url
    this.topicOf = topicOf
    this.done = this.run(1000 / eventsPerSecond)
  }

  /** Waits until `count` more events are stored. */
  async more(count: number): Promise<void> {
    const target = this.last + count
    await waitUntil(() => this.last >= target, { what: `${count} more events`, timeoutMs: 30_000 })
  }

  /** Ends when the present event is stored, and returns its number. */
  async stop(): Promise<number> {
    this.running = false
    await this.done
    return this.last
  }

  private async run(intervalMs: number): Promise<void> {
    while (this.running) {
      const n = this.last + 1
      const topic = this.topicOf(n)
      const stored = await post(this.url, { topic, id: `${topic}-${n}`, data: { n } }).then(
        (answer) => answer.status === 201,
        () => false,
      )
      if (stored) this.last = n
      await sleep(stored ? intervalMs : retryMs)
    }
  }
}
