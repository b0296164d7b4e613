import { Problem } from '../common/problem.ts'
import {
  controlTypePrefix,
  eventTypeExpression,
  isEventType,
  messageIdExpression,
} from '../contract/event.ts'
import { hasWildcard, isTopic, maxTopicBytes, maxTopicTokens } from '../contract/topic.ts'
import { faultOf, type Member, membersOf, placeOf } from './json-text.ts'

/** An event that may go into the log. */
export interface NewEvent {
  topic: string
  type: string | undefined
  /** By which JetStream recognises a repeated publish. */
  id: string | undefined
  /** The publisher's JSON, character by character. */
  data: string
  /** Set when the event is traced. */
  traceparent?: string
}

/**
 * Reads one event from its JSON text, which starts at line `firstLine` of the body.
 *
 * @throws Problem `bad-request` for broken JSON, `bad-event` for a wrong event, both with the line and column.
 */
export function readEvent(text: string, firstLine = 1): NewEvent {
  const event = parse(text, firstLine)
  const members = membersOf(text)
  const refuse = (member: string, detail: string): never => {
    const at = members.findLast(({ name }) => name === member)?.start ?? 0
    throw new Problem('bad-event', detail, { pointer: pointerTo(member), ...placeOf(text, at, firstLine) })
  }
  let data: Member | undefined
  for (const member of members) {
    if (member.name === 'data') data = member
    else if (!known.has(member.name)) refuse(member.name, `There is no member "${shorten(member.name)}".`)
  }
  const { topic, type, id } = event
  const topicFault = faultOfTopic(topic)
  if (topicFault) refuse('topic', topicFault)
  const typeFault = type === undefined ? undefined : faultOfType(type)
  if (typeFault) refuse('type', typeFault)
  const idFault = id === undefined ? undefined : faultOfId(id)
  if (idFault) refuse('id', idFault)
  if (!data) return refuse('data', 'The member "data" is missing; null is a value.')
  return {
    topic: topic as string,
    type: type as string | undefined,
    id: id as string | undefined,
    data: text.slice(data.start, data.end),
  }
}

const known = new Set(['topic', 'type', 'data', 'id'])

function parse(text: string, firstLine: number): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    const place = placeOf(text, faultOf(text), firstLine)
    throw new Problem('bad-request', `The JSON is broken at line ${place.line}, column ${place.column}.`, {
      ...place,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem('bad-event', 'An event is a JSON object: {"topic":…,"type":…,"data":…,"id":…}.', {
      pointer: '',
      ...placeOf(text, 0, firstLine),
    })
  }
  return value as Record<string, unknown>
}

function faultOfTopic(topic: unknown): string | undefined {
  if (topic === undefined) return 'The member "topic" is missing.'
  if (typeof topic !== 'string') return 'A topic is a string.'
  if (isTopic(topic)) return undefined
  if (hasWildcard(topic)) return 'An event has one topic, without the wildcards * and >.'
  return `A topic is 1 to ${maxTopicTokens} tokens of A-Z a-z 0-9 _ - joined by dots, ${maxTopicBytes} characters at most.`
}

function faultOfType(type: unknown): string | undefined {
  if (typeof type === 'string' && isEventType(type)) return undefined
  if (typeof type === 'string' && type.startsWith(controlTypePrefix))
    return 'Types that start with $ belong to the gateway.'
  return `A type is a string that matches ${eventTypeExpression.source}; leave it out when there is none.`
}

/** What is wrong with an event id, wherever it was given; undefined when nothing is. */
export function faultOfId(id: unknown): string | undefined {
  if (typeof id === 'string' && messageIdExpression.test(id)) return undefined
  return 'An id is 1 to 255 printable ASCII characters without spaces; leave it out when there is none.'
}

/** JSON pointer (RFC 6901) to a member of the event. */
function pointerTo(member: string): string {
  return `/${shorten(member).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

function shorten(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name
}
