/**
 * Event ids: `<epoch>-<sequence>`, the log's incarnation and the event's place in it. An id doubles as a
 * position: "I have seen everything up to and including this".
 */

export interface EventId {
  /** The log's incarnation, from the stream's metadata. */
  epoch: string
  /** The event's sequence in the stream; 0 stands before the first event. */
  sequence: number
}

const expression = /^([a-z0-9]{1,32})-(0|[1-9][0-9]{0,15})$/

export function formatEventId(epoch: string, sequence: number): string {
  return `${epoch}-${sequence}`
}

/** Returns undefined when `text` is not an id that this project could have written. */
export function parseEventId(text: string): EventId | undefined {
  const parts = expression.exec(text)
  if (!parts) return undefined
  const sequence = Number(parts[2])
  if (!Number.isSafeInteger(sequence)) return undefined
  return { epoch: parts[1] as string, sequence }
}

/** A new random epoch: 12 characters, about 62 bits, so that two incarnations never share one. */
export function newEpoch(): string {
  const random = crypto.getRandomValues(new BigUint64Array(1))[0] as bigint
  return random.toString(36).padStart(13, '0').slice(-12)
}
