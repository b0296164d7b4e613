import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { reasonOf } from './canary-publisher.ts'
import type { ConnectOutcome } from './metrics.ts'

export interface CanaryStreamOptions {
  /** Of `GET /v1/events`, with its topic. */
  url: string
  token: string
  /** An attempt has ended (ok: with the first block), `elapsedMs` after it began. */
  onConnect: (outcome: ConnectOutcome, elapsedMs: number, detail: string) => void
  /** Every event, those of the stream itself (`$gap`, `$live`) too. `lastEventId` includes its own. */
  onEvent: (type: string, data: string, lastEventId: string) => void
  onEnd: (detail: string) => void
}

const firstBlockTimeoutMs = 10_000
const refusedPauseMs = 5_000
const longestRetryMs = 30_000
/** Before the first stream the cluster may just be starting; nobody's position depends on it yet. */
const firstPauseMs = 500

/**
 * One subscription that behaves as a browser's EventSource does (WHATWG HTML, 9.2): its position is the last id of any
 * event, it comes back with that after the time that the stream last told, and gives up only on an answer that is not
 * a stream. There the prober is more patient than a browser: it tries again, as a person would.
 *
 *   1. connecting   until the first block
 *   2. open
 *   3. waiting      for the time to come back
 *
 * An EventSource of a library would hide when the first block came and what an attempt was answered with.
 */
export class CanaryStream {
  /** Id of the last event; empty before the first. */
  position = ''
  /** True from the first block on until the stream ends; also while a forced reconnect is under way. */
  open = false
  private readonly options: CanaryStreamOptions
  private retryMs = 1_000
  private stopped = false
  private cut: AbortController | undefined
  private wake: (() => void) | undefined
  private meanwhile: (() => Promise<void>) | undefined

  constructor(options: CanaryStreamOptions) {
    this.options = options
  }

  /** Keeps a stream open until `stop`. */
  async run(): Promise<void> {
    while (!this.stopped) {
      const pauseMs = await this.connect()
      const { meanwhile } = this
      this.meanwhile = undefined
      if (meanwhile) await meanwhile()
      else await this.pause(this.position ? pauseMs : Math.min(pauseMs, firstPauseMs))
    }
  }

  /** Cuts an open stream and comes back at once, after `meanwhile`: what happens then must come by the resume. */
  reconnect(meanwhile: () => Promise<void>): void {
    if (!this.open || this.meanwhile) return
    this.meanwhile = meanwhile
    this.cut?.abort()
  }

  stop(): void {
    this.stopped = true
    this.cut?.abort()
    this.wake?.()
  }

  /** Returns the time to wait before the next attempt, ms. */
  private async connect(): Promise<number> {
    const { url, token, onConnect, onEnd } = this.options
    const cut = new AbortController()
    this.cut = cut
    const begunAt = performance.now()
    const elapsed = () => performance.now() - begunAt
    const tooLate = setTimeout(() => cut.abort(), firstBlockTimeoutMs)
    let begun = false
    const fail = (detail: string) => {
      if (this.stopped) return
      if (begun) onEnd(detail)
      else onConnect('failed', elapsed(), detail)
    }
    const parser = createParser({
      onRetry: (ms) => {
        this.retryMs = Math.min(ms, longestRetryMs)
      },
      onEvent: (message) => {
        if (!begun) {
          begun = true
          this.open = true
          clearTimeout(tooLate)
          onConnect('ok', elapsed(), '')
        }
        this.take(message)
      },
    })
    try {
      const response = await fetch(url, {
        headers: {
          accept: 'text/event-stream',
          ...(this.position ? { 'last-event-id': this.position } : {}),
          ...(token ? { authorization: `Bearer ${token}` } : {}),
        },
        signal: cut.signal,
      })
      const type = response.headers.get('content-type') ?? 'no content type'
      if (response.status !== 200 || !type.startsWith('text/event-stream') || !response.body) {
        const body = (await response.text()).slice(0, 300)
        onConnect('refused', elapsed(), `${response.status} ${type} ${body}`)
        this.open = false
        return refusedPauseMs
      }
      const decoder = new TextDecoder()
      for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }))
      fail('the stream ended')
    } catch (error) {
      // A forced reconnect is no failure.
      if (!this.meanwhile) fail(cut.signal.aborted ? 'no first block in time' : reasonOf(error))
    } finally {
      clearTimeout(tooLate)
      if (!this.meanwhile) this.open = false
    }
    return this.retryMs
  }

  private take({ event, data, id }: EventSourceMessage): void {
    if (id !== undefined) this.position = id
    this.options.onEvent(event ?? 'message', data, this.position)
  }

  private async pause(ms: number): Promise<void> {
    if (this.stopped) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
