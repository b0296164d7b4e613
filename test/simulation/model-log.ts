import { encodeEvent, type LogEvent } from '../../services/gateway/sse-frame.ts'

/** An event that was stored, its only right frame, and whether the log still has it. */
export interface StoredEvent extends LogEvent {
  frame: string
  /** `deleted` leaves a hole that nobody must be told of; `expired` is a loss that must be told. */
  gone: 'deleted' | 'expired' | undefined
}

/** The log as it should be: everything that was ever stored, by incarnation. */
export class ModelLog {
  epoch = 'e1'
  last = 0
  first = 1
  /** Incarnations by epoch; index = sequence, 0 is unused. */
  readonly incarnations = new Map<string, (StoredEvent | undefined)[]>([['e1', [undefined]]])
  private nextEpoch = 2

  get events(): (StoredEvent | undefined)[] {
    return this.incarnations.get(this.epoch) as (StoredEvent | undefined)[]
  }

  append(topic: string, payload: Uint8Array, timeMs: number): void {
    this.store({ sequence: ++this.last, topic, type: undefined, timeMs, payload })
  }

  /** The next event after `sequence` that the log still has. */
  next(sequence: number): StoredEvent | undefined {
    for (let i = Math.max(sequence + 1, 1); i <= this.last; i++) {
      const event = this.events[i]
      if (event && !event.gone) return event
    }
    return undefined
  }

  /** Events after `sequence` and up to `upTo` that are wanted. */
  countAfter(sequence: number, upTo: number, wanted: (topic: string) => boolean): number {
    let count = 0
    for (
      let event = this.next(sequence);
      event && event.sequence <= upTo;
      event = this.next(event.sequence)
    ) {
      if (wanted(event.topic)) count++
    }
    return count
  }

  delete(sequence: number): void {
    const event = this.events[sequence]
    if (event && !event.gone) event.gone = 'deleted'
    this.settleFirst()
  }

  expire(upTo: number): void {
    for (let i = this.first; i <= upTo; i++) {
      const event = this.events[i]
      if (event && !event.gone) event.gone = 'expired'
    }
    this.settleFirst()
  }

  /** The stream is deleted and made anew, empty. */
  recreate(): void {
    this.epoch = `e${this.nextEpoch++}`
    this.incarnations.set(this.epoch, [undefined])
    this.last = 0
    this.first = 1
  }

  /** The newest events are lost, as by a restored backup; whoever notices gives the log a new epoch. */
  rollBack(to: number): void {
    const kept = this.events.slice(0, to + 1)
    this.epoch = `e${this.nextEpoch++}`
    this.incarnations.set(this.epoch, [undefined])
    this.last = to
    for (const event of kept) if (event) this.store({ ...event }, event.gone)
  }

  private store(event: LogEvent, gone: StoredEvent['gone'] = undefined): void {
    this.events[event.sequence] = {
      ...event,
      gone,
      frame: encodeEvent(this.epoch, event).toString(),
    }
  }

  /** As JetStream counts: the first sequence kept, one more than the last when nothing is. */
  private settleFirst(): void {
    this.first = this.next(this.first - 1)?.sequence ?? this.last + 1
  }
}
