import type { Tracing } from '../common/tracing.ts'
import type { LogEvent } from './sse-frame.ts'

interface Noted {
  event: LogEvent
  id: string
  readAtMs: number
}

/** Sampled events on their way from the log to the streams of this pod. */
export class DeliveryTraces {
  private readonly tracing: Tracing
  private noted: Noted[] = []

  constructor(tracing: Tracing) {
    this.tracing = tracing
  }

  /** A traced event has been read; `id` is its event id. */
  note(event: LogEvent, id: string, nowMs: number): void {
    this.noted.push({ event, id, readAtMs: nowMs })
  }

  /** Every event up to this sequence has been written to all live streams. */
  flushed(upTo: number, nowMs: number): void {
    while (this.noted[0] && this.noted[0].event.sequence <= upTo) {
      const { event, id, readAtMs } = this.noted.shift() as Noted
      this.tracing.delivered(event.traceparent as string, { topic: event.topic, id }, readAtMs, nowMs)
    }
  }

  /** The log starts anew: what was on its way never leaves. */
  restart(): void {
    this.noted = []
  }
}
