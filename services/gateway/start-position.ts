import type { LogState } from '../common/log-stream.ts'
import { Problem } from '../common/problem.ts'
import type { GapReason } from '../contract/event.ts'
import { parseEventId } from '../contract/event-id.ts'

/** What a request says of where its stream should begin. */
export interface Wish {
  /** Header `Last-Event-ID`, or the query parameter `last-event-id`. */
  lastEventId: string | undefined
  /** `all`, a duration such as `10m`, or an RFC 3339 time. */
  since: string | undefined
}

export interface Start {
  /** The log’s incarnation that the position belongs to. */
  epoch: string
  position: number
  /** Set when the wished position could not be honoured. */
  gap: { reason: GapReason; requested: string } | undefined
  /** True when events may have to be replayed, so that the stream will say when it is live. */
  resumed: boolean
}

/** What the pod knows of the log, and whom it can ask. */
export interface LogView {
  readonly epoch: string
  /** The newest sequence that this pod has read. */
  readonly tailPosition: number
  /** Up to here live subscribers have been served: where a stream without a wish begins. */
  readonly boundary: number
  readonly recentFloor: number
  /** The position before `timeMs` if the recent log reaches back that far. */
  recentPositionAt(timeMs: number): number | undefined
  /** @throws when JetStream does not answer. */
  readState(): Promise<LogState>
  /** The position before the first event stored at `timeMs` or later, from the stream. */
  readPositionAt(timeMs: number): Promise<number>
}

const longestId = 64

/**
 * Where a stream begins. A position ahead of this pod's tail is not yet ahead of the log: another pod may have read
 * further, so the stream itself is asked.
 *
 * @throws Problem `bad-position` for a `since` that can't be read.
 */
export async function startPosition(wish: Wish, view: LogView, nowMs: number): Promise<Start> {
  const { epoch } = view
  if (wish.lastEventId) {
    const { position, reason } = await resume(wish.lastEventId, view)
    const gap = reason && { reason, requested: wish.lastEventId.slice(0, longestId) }
    return { epoch, position, gap, resumed: true }
  }
  const position = wish.since === undefined ? undefined : await since(wish.since, view, nowMs)
  return { epoch, position: position ?? view.boundary, gap: undefined, resumed: position !== undefined }
}

async function resume(lastEventId: string, view: LogView): Promise<{ position: number; reason?: GapReason }> {
  const id = lastEventId.length <= longestId ? parseEventId(lastEventId) : undefined
  if (!id) return { position: view.boundary, reason: 'malformed' }
  if (id.epoch === view.epoch && id.sequence <= view.tailPosition) {
    if (id.sequence >= view.recentFloor) return { position: id.sequence }
    const oldest = (await stateOf(view)).firstSequence - 1
    if (id.sequence >= oldest) return { position: id.sequence }
    return { position: Math.min(oldest, view.tailPosition), reason: 'expired' }
  }
  const state = await stateOf(view)
  if (id.epoch !== state.epoch) {
    return { position: Math.min(state.firstSequence - 1, view.tailPosition), reason: 'reset' }
  }
  if (id.sequence > state.lastSequence) return { position: view.boundary, reason: 'ahead' }
  return { position: id.sequence }
}

async function stateOf(view: LogView): Promise<LogState> {
  const state = await view.readState()
  // This pod has yet to notice that the log was recreated: the client must not be served from the old one.
  if (state.epoch !== view.epoch)
    throw new Problem('unavailable', 'The log has just been replaced; come back.')
  return state
}

/** Undefined for a time that has yet to come: the stream is live only. */
async function since(text: string, view: LogView, nowMs: number): Promise<number | undefined> {
  const timeMs = sinceTime(text, nowMs)
  if (timeMs >= nowMs) return undefined
  let position = view.recentPositionAt(timeMs)
  if (position === undefined) {
    // A duration counts from whenever the request came: to the second, those who come together share one look-up.
    const lookedUpMs = duration.test(text) ? Math.floor(timeMs / 1_000) * 1_000 : timeMs
    // Before 1970 there was no log, and a date may not even be sayable.
    const found = lookedUpMs <= 0 ? 0 : await view.readPositionAt(lookedUpMs)
    position = Math.max((await stateOf(view)).firstSequence - 1, found)
  }
  return Math.min(position, view.tailPosition)
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const duration = /^(\d{1,12})(ms|s|m|h|d)$/
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/

/**
 * Reads `since`: -Infinity for `all`, else milliseconds since 1970.
 *
 * @throws Problem `bad-position`.
 */
export function sinceTime(text: string, nowMs: number): number {
  if (text === 'all') return Number.NEGATIVE_INFINITY
  const [, count, unit] = duration.exec(text) ?? []
  if (unit) return nowMs - Number(count) * unitMs[unit as keyof typeof unitMs]
  // A plus sign that was not escaped in the URL arrives as a space.
  const time = text.replace(/ (\d\d:\d\d)$/, '+$1')
  const timeMs = rfc3339.test(time) ? Date.parse(time) : Number.NaN
  if (Number.isNaN(timeMs)) {
    throw new Problem(
      'bad-position',
      `since=${text.slice(0, longestId)} is neither "all", a duration (500ms, 90s, 10m, 2h, 7d) nor an RFC 3339 time with its zone.`,
      { parameter: 'since' },
    )
  }
  return timeMs
}
