import { isUtf8 } from 'node:buffer'
import type { GapReason } from '../contract/event.ts'
import { formatEventId } from '../contract/event-id.ts'

/**
 * Server-Sent Events on the wire (WHATWG HTML, 9.2). An event is encoded once, and its bytes are the same for
 * every subscriber, on every pod, live or replayed: nothing in them depends on who reads or when.
 */

/** An event as it stands in the log. */
export interface LogEvent {
  sequence: number
  topic: string
  /** The publisher's type; undefined when there is none, or none that may stand in a frame. */
  type: string | undefined
  /** When the log stored it, milliseconds since 1970. */
  timeMs: number
  payload: Uint8Array
  /** Set on the few events that are traced (W3C Trace Context). */
  traceparent?: string | undefined
}

const lineFeed = 10
const carriageReturn = 13
const space = 32
const tail = Buffer.from('}\n\n')
const plainTopic = /^[A-Za-z0-9_.-]+$/

/**
 * Encodes an event as one block. `data` is always one JSON object on one line. A JSON payload stands in it
 * untouched (its line breaks, which JSON allows only between tokens, become spaces); text that is not JSON becomes
 * a JSON string; bytes that are not UTF-8 become base64, marked by `"encoding":"base64"`.
 */
export function encodeEvent(epoch: string, event: LogEvent): Buffer {
  const topic = plainTopic.test(event.topic) ? `"${event.topic}"` : JSON.stringify(event.topic)
  const type = event.type === undefined ? '' : `event: ${event.type}\n`
  const head = `id: ${formatEventId(epoch, event.sequence)}\n${type}data: {"topic":${topic},"time":"${isoTime(event.timeMs)}",`
  const { payload } = event
  const text = textOf(payload)
  if (text === undefined) {
    return Buffer.from(`${head}"encoding":"base64","data":"${Buffer.from(payload).toString('base64')}"}\n\n`)
  }
  if (!isJson(text)) return Buffer.from(`${head}"data":${JSON.stringify(text)}}\n\n`)
  return joinFrame(`${head}"data":`, payload)
}

function joinFrame(head: string, json: Uint8Array): Buffer {
  const headBytes = Buffer.byteLength(head)
  const frame = Buffer.allocUnsafe(headBytes + json.length + tail.length)
  frame.write(head, headBytes === head.length ? 'latin1' : 'utf8')
  frame.set(json, headBytes)
  if (json.includes(lineFeed) || json.includes(carriageReturn)) {
    for (let i = headBytes; i < headBytes + json.length; i++) {
      if (frame[i] === lineFeed || frame[i] === carriageReturn) frame[i] = space
    }
  }
  frame.set(tail, headBytes + json.length)
  return frame
}

function textOf(payload: Uint8Array): string | undefined {
  return isUtf8(payload)
    ? Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString()
    : undefined
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

// Events of one millisecond are many under load: one date is formatted for all of them.
let lastTimeMs = Number.NaN
let lastTime = ''
function isoTime(timeMs: number): string {
  if (timeMs !== lastTimeMs) {
    lastTimeMs = timeMs
    lastTime = new Date(timeMs).toISOString()
  }
  return lastTime
}

/** Why a stream ends: the same words in `$closing`, logs and metrics. */
export const closeReasons = [
  'client-gone',
  'max-age',
  'token-expired',
  'draining',
  'too-slow',
  'write-failed',
] as const
export type CloseReason = (typeof closeReasons)[number]

/** The first block of every stream: when to come back, and the position from which this stream continues. */
export function firstBlock(retryMs: number, id: string): string {
  return `retry: ${retryMs}\n${positionBlock(id)}`
}

/** A heartbeat. A named event with data, so that every kind of client takes over its id and none shows it. */
export function positionBlock(id: string): string {
  return `event: $position\nid: ${id}\ndata: {}\n\n`
}

/** Says that a position could not be honoured, and where the stream goes on. */
export function gapBlock(requested: string, resumedAt: string, reason: GapReason): string {
  return `event: $gap\nid: ${resumedAt}\ndata: ${JSON.stringify({ requested, resumedAt, reason })}\n\n`
}

/** Says that a replay has caught up with the log's head. */
export function liveBlock(id: string): string {
  return `event: $live\nid: ${id}\ndata: {}\n\n`
}

/** Announces a planned close. `id` is left out while the stream is behind, since it would skip events. */
export function closingBlock(reason: CloseReason, retryMs: number, id: string | undefined): string {
  const position = id === undefined ? '' : `id: ${id}\n`
  return `retry: ${retryMs}\nevent: $closing\n${position}data: ${JSON.stringify({ reason })}\n\n`
}

/** A comment: keeps proxies from closing a quiet stream that has no position to tell. */
export const commentBlock = ': waiting\n\n'
