/** Events as publishers hand them in and as the log stores them. */

/** NATS header that carries the publisher's event type. */
export const eventTypeHeader = 'Event-Type'
/** NATS header by which JetStream recognises a repeated publish (server's own name). */
export const messageIdHeader = 'Nats-Msg-Id'

/** NATS header by which a sampled event is followed (W3C Trace Context); absent from all others. */
export const traceHeader = 'traceparent'

/** Types that start with `$` belong to the gateway: `$position`, `$gap`, `$live`, `$closing`. */
export const controlTypePrefix = '$'

/** An event's type becomes one line of a frame, so neither CR nor LF nor anything exotic may stand in it. */
export const eventTypeExpression = /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$/
/** Printable ASCII: the id becomes a NATS header value. */
export const messageIdExpression = /^[\x21-\x7e]{1,255}$/

export function isEventType(text: string): boolean {
  return eventTypeExpression.test(text)
}

/** Why a stream tells its reader of a gap. */
export type GapReason = 'expired' | 'reset' | 'ahead' | 'malformed'
export const gapReasons: readonly GapReason[] = ['expired', 'reset', 'ahead', 'malformed']
