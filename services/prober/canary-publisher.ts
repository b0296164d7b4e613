export interface CanaryPublisherOptions {
  /** Of `POST /v1/events`. */
  url: string
  topic: string
  token: string
  /** Tells this run's canaries from those of an earlier one or of another prober. */
  run: string
}

/** `id` of the event that the log has stored, or why it has not. */
export type PublishAnswer = { id: string } | { failure: string }

const timeoutMs = 5_000

/** Publishes canary after canary, as any publisher would: with an id, so that it may be tried again. */
export class CanaryPublisher {
  private readonly options: CanaryPublisherOptions

  constructor(options: CanaryPublisherOptions) {
    this.options = options
  }

  /** One attempt for canary `n`. */
  async publish(n: number): Promise<PublishAnswer> {
    const { url, topic, token, run } = this.options
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
        },
        body: JSON.stringify({ topic, type: 'probe.canary', id: `${run}-${n}`, data: { run, n } }),
        signal: AbortSignal.timeout(timeoutMs),
      })
      const answer = await response.text()
      if (response.status !== 201) return { failure: `${response.status} ${answer.slice(0, 300)}` }
      const { id } = JSON.parse(answer) as { id?: unknown }
      return typeof id === 'string' ? { id } : { failure: `201 without an id: ${answer.slice(0, 300)}` }
    } catch (error) {
      return { failure: reasonOf(error) }
    }
  }
}

/** `fetch failed` says nothing; its cause does. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined
  return cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error))
}
