import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { DemoEvent } from './feeds/feed.ts'

/** The publisher will not take this event, however often it is asked. */
export class PublishRefused extends Error {
  override readonly name = 'PublishRefused'
}

export interface PublisherClientOptions {
  url: string
  /** Empty: none. */
  token: string
  random: () => number
  onRetry: (reason: string) => void
}

const attemptTimeoutMs = 5_000
const pause = { firstMs: 250, mostMs: 10_000 }

/**
 * Publishes through the publisher's HTTP API. While the publisher or its log is away, the same event is tried
 * again, more and more slowly and with jitter; its id stays the same, so an answer that got lost stores nothing twice.
 */
export class PublisherClient {
  private readonly options: PublisherClientOptions
  private failure: string | undefined = 'nothing has been published yet'

  constructor(options: PublisherClientOptions) {
    this.options = options
  }

  /** Why the last attempt failed; undefined when the publisher answers. */
  get waitingFor(): string | undefined {
    return this.failure
  }

  /**
   * Returns when the event is stored.
   *
   * @throws PublishRefused when the publisher refuses it for good; the signal's reason when `stop` is aborted.
   */
  async publish(event: DemoEvent, stop: AbortSignal): Promise<void> {
    const body = JSON.stringify({ ...event, id: randomUUID() })
    for (let attempt = 0; ; attempt++) {
      const { failure, retryAfterMs } = await this.attempt(body, stop)
      this.failure = failure
      if (failure === undefined) return
      this.options.onRetry(failure)
      const most = Math.min(pause.mostMs, pause.firstMs * 2 ** attempt)
      await delay(Math.max(retryAfterMs, most * (0.5 + this.options.random() / 2)), undefined, {
        signal: stop,
      })
    }
  }

  private async attempt(
    body: string,
    stop: AbortSignal,
  ): Promise<{ failure: string | undefined; retryAfterMs: number }> {
    const { url, token } = this.options
    let response: Response
    let answer: string
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
        },
        body,
        signal: AbortSignal.any([stop, AbortSignal.timeout(attemptTimeoutMs)]),
      })
      answer = await response.text()
    } catch (error) {
      stop.throwIfAborted()
      return { failure: `the publisher at ${url} does not answer (${reasonOf(error)})`, retryAfterMs: 0 }
    }
    if (response.ok) return { failure: undefined, retryAfterMs: 0 }
    const failure = `the publisher at ${url} answered ${response.status} ${answer.slice(0, 300)}`
    const passing = response.status >= 500 || response.status === 429 || response.status === 408
    if (passing) return { failure, retryAfterMs: retryAfterMs(response) }
    this.failure = failure
    throw new PublishRefused(failure)
  }
}

function retryAfterMs(response: Response): number {
  const seconds = Number(response.headers.get('retry-after'))
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 60) * 1000 : 0
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
  return cause?.code ?? String(error)
}
