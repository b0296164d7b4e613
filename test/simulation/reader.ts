import { type EventId, parseEventId } from '../../services/contract/event-id.ts'
import { covers } from '../../services/contract/topic.ts'
import type { ModelLog, StoredEvent } from './model-log.ts'

/**
 * A client over all its connections, which checks every block against the model: each event of its topics after its
 * position, in order, once, with exactly the right bytes; a position only when everything up to it has come; a gap
 * only when it is true.
 */
export class Reader {
  readonly name: string
  readonly topics: readonly string[]
  /** What it would send as Last-Event-ID. */
  position: EventId | undefined
  events = 0
  gaps: Record<string, number> = {}
  private readonly log: ModelLog
  private readonly fail: (message: string) => never
  /** Set while a connection's first block is awaited: what was asked for. */
  private asked: { lastEventId: string | undefined; since: string | undefined; last: number } | undefined
  private restarted = false

  constructor(name: string, topics: readonly string[], log: ModelLog, fail: (message: string) => never) {
    this.name = name
    this.topics = topics
    this.log = log
    this.fail = (message) => fail(`${name} (${topics.join(' ')}): ${message}`)
  }

  /** A new connection begins; it asked for this when the log's newest event was `last`. */
  connect(lastEventId: string | undefined, since: string | undefined): void {
    this.asked = { lastEventId, since, last: this.log.last }
    this.restarted = true
  }

  receive(text: string): void {
    for (const block of text.split(/(?<=\n\n)/)) this.block(block)
  }

  wants(topic: string): boolean {
    return this.topics.some((pattern) => covers(pattern, topic))
  }

  private block(block: string): void {
    if (!block.endsWith('\n\n')) this.fail(`a block that does not end: ${JSON.stringify(block)}`)
    if (block.startsWith(':')) return
    const type = /^event: (.*)$/m.exec(block)?.[1]
    const idText = /^id: (.*)$/m.exec(block)?.[1]
    const id = idText === undefined ? undefined : parseEventId(idText)
    if (this.restarted) this.first(block, id)
    else if (type === '$gap') this.gap(block, id)
    else if (type?.startsWith('$')) {
      if (id) this.moveTo(id, type)
      else if (type !== '$closing') this.fail(`${type} without an id`)
    } else this.event(block, id)
  }

  private first(block: string, id: EventId | undefined): void {
    this.restarted = false
    if (!/^retry: \d+\nevent: \$position\n/.test(block) || !id)
      this.fail(`a stream begins with ${JSON.stringify(block)}`)
    const asked = parseEventId(this.asked?.lastEventId ?? '')
    const resumes = asked?.epoch === id.epoch && asked.sequence === id.sequence
    const { since } = this.asked as { since: string | undefined }
    if (id.epoch !== this.log.epoch && !resumes && !this.log.incarnations.has(id.epoch))
      this.fail(`begins in unknown epoch ${id.epoch}`)
    // Anything else must be explained by the gap that follows.
    if (resumes || this.asked?.lastEventId === undefined) this.asked = undefined
    if (since === 'all') this.requireGone(id.epoch, 0, id.sequence, 'since=all')
    this.position = id
  }

  private event(block: string, id: EventId | undefined): void {
    if (!id) this.fail(`an event without id: ${JSON.stringify(block)}`)
    const event = this.stored(id.epoch, id.sequence)
    if (!event) this.fail(`event ${id.epoch}-${id.sequence} was never stored`)
    if (!this.wants(event.topic)) this.fail(`event ${id.sequence} has topic ${event.topic}`)
    if (block !== event.frame) this.fail(`event ${id.sequence} is ${JSON.stringify(block)}`)
    this.moveTo({ epoch: id.epoch, sequence: id.sequence - 1 }, `event ${id.sequence}`)
    this.position = id
    this.events++
  }

  /** Everything up to `id` has come, says the stream. */
  private moveTo(id: EventId, what: string): void {
    const position = this.position as EventId
    if (this.asked) this.fail(`${what} comes where a gap was due: asked for ${this.asked.lastEventId}`)
    if (id.epoch !== position.epoch) this.fail(`${what} changes the epoch to ${id.epoch} without a gap`)
    if (id.sequence < position.sequence)
      this.fail(`${what} at ${id.sequence} goes back behind ${position.sequence}`)
    for (const event of this.between(id.epoch, position.sequence, id.sequence)) {
      if (event.gone !== 'deleted') this.fail(`${what} passes over event ${event.sequence}, which never came`)
    }
    this.position = id
  }

  private gap(block: string, id: EventId | undefined): void {
    const data = JSON.parse(/^data: (.*)$/m.exec(block)?.[1] as string) as Record<string, string>
    const { reason, requested, resumedAt } = data as { reason: string; requested: string; resumedAt: string }
    if (!id || resumedAt !== `${id.epoch}-${id.sequence}`) this.fail(`a gap without place: ${block}`)
    const { asked } = this
    this.asked = undefined
    const from = parseEventId(requested)
    const position = this.position as EventId
    if (asked ? requested !== asked.lastEventId : requested !== `${position.epoch}-${position.sequence}`) {
      // What was asked may be ahead of what came last: only events of other topics may lie between.
      if (!from || from.epoch !== position.epoch || asked) this.fail(`gap requests ${requested}`)
      else this.moveTo(from, 'the request of a gap')
    }
    this.gaps[reason] = (this.gaps[reason] ?? 0) + 1
    if (reason === 'malformed') {
      if (from) this.fail(`${requested} is called malformed`)
    } else if (reason === 'ahead') {
      if (!from || from.epoch !== id.epoch) this.fail('ahead in another epoch')
      if (from.sequence <= (asked?.last ?? 0)) this.fail(`${requested} is called ahead`)
    } else if (reason === 'expired') {
      if (!from || from.epoch !== id.epoch) this.fail('expired into another epoch')
      if (from.sequence > id.sequence) this.fail(`expired, but goes on from ${resumedAt} after ${requested}`)
      this.requireGone(id.epoch, from.sequence, id.sequence, reason)
    } else if (reason === 'reset') {
      if (from?.epoch === id.epoch) this.fail('reset into the same epoch')
      this.requireGone(id.epoch, 0, id.sequence, reason)
    } else this.fail(`gap for reason ${reason}`)
    this.position = id
  }

  private requireGone(epoch: string, after: number, upTo: number, reason: string): void {
    for (const event of this.between(epoch, after, upTo)) {
      if (!event.gone) this.fail(`${reason}: event ${event.sequence} is passed over, but the log has it`)
    }
  }

  private *between(epoch: string, after: number, upTo: number): Iterable<StoredEvent> {
    for (let sequence = after + 1; sequence <= upTo; sequence++) {
      const event = this.stored(epoch, sequence)
      if (event && this.wants(event.topic)) yield event
    }
  }

  private stored(epoch: string, sequence: number): StoredEvent | undefined {
    return this.log.incarnations.get(epoch)?.[sequence]
  }
}
