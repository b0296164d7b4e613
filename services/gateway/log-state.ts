import type { LogState } from '../common/log-stream.ts'

/**
 * Reads the log's state for whoever asks, one request at a time. An answer is never older than the question: who
 * asks while a request is under way shares the next one, so a storm of clients costs two requests, not thousands.
 */
export class LogStateReader {
  private readonly read: () => Promise<LogState>
  private current: Promise<unknown> | undefined
  private next: Promise<LogState> | undefined

  constructor(read: () => Promise<LogState>) {
    this.read = read
  }

  /** @throws when JetStream does not answer. */
  fresh(): Promise<LogState> {
    if (this.next) return this.next
    if (!this.current) return this.begin()
    this.next = this.current.then(() => {
      this.next = undefined
      return this.begin()
    })
    return this.next
  }

  private begin(): Promise<LogState> {
    const answer = this.read()
    const settled = answer
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        if (this.current === settled) this.current = undefined
      })
    this.current = settled
    return answer
  }
}
