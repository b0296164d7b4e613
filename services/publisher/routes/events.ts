import { isUtf8 } from 'node:buffer'
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { HttpApp } from '../../common/http-app.ts'
import { Problem } from '../../common/problem.ts'
import { requireGrant } from '../../common/token.ts'
import { traceHeader } from '../../contract/event.ts'
import { publishSchema } from '../api-document.ts'
import type { PublisherSettings } from '../config.ts'
import { faultOfId, type NewEvent, readEvent } from '../event-reader.ts'
import { type EventStore, maxAtomicEvents, type StoredEvent } from '../event-store.ts'
import { placeOf } from '../json-text.ts'
import type { PublishMetrics } from '../metrics.ts'
import { type Line, linesOf } from '../ndjson.ts'

/** Events of a batch that are on their way to the log at once; then other requests get a turn. */
const sliceEvents = 500
const ndjson = 'application/x-ndjson'

export interface EventsParts {
  settings: PublisherSettings
  metrics: PublishMetrics
  /** @throws Problem `unavailable` while NATS was never reached. */
  store(): EventStore
}

/** `POST /v1/events`: one event as JSON, or several as NDJSON. */
export function addEventsRoute(app: HttpApp, parts: EventsParts): void {
  const { settings, metrics } = parts
  const readBody = (type: string, bodyLimit: number) =>
    app.addContentTypeParser(type, { parseAs: 'buffer', bodyLimit }, (_request, body, done) =>
      done(null, body),
    )
  readBody('application/json', settings.MAX_EVENT_BYTES)
  readBody(ndjson, settings.MAX_BODY_BYTES)

  app.post(
    '/v1/events',
    {
      schema: publishSchema,
      // The body is checked by the event reader, which knows places; only the query is left.
      validatorCompiler: (part) =>
        part.httpPart === 'querystring' ? queryValidator(TypeBoxValidatorCompiler(part)) : () => true,
      onError: async (request, _reply, error) =>
        metrics.refused(error instanceof Problem && error.status >= 500, request.events),
    },
    async (request, reply) => {
      const text = textOf(request)
      const { atomic } = request.query
      if (!request.headers['content-type']?.startsWith(ndjson)) {
        if (atomic) throw new Problem('bad-request', `atomic=true is for ${ndjson}.`)
        const stored = await parts.store().publish(readSingle(text, request), traceparentOf(request))
        return reply.code(201).send(stored)
      }
      if (request.headers['idempotency-key'] !== undefined)
        throw new Problem('bad-event', 'Idempotency-Key is for one event; give each line its own id.')
      const lines = readLines(text, atomic ? maxAtomicEvents : settings.MAX_BATCH_EVENTS)
      const results = atomic ? await storeAll(lines, request, parts) : await storeEach(lines, request, parts)
      return reply.header('content-type', ndjson).send(`${results.join('\n')}\n`)
    },
  )
}

/** Most requests have no query, and converting one by its schema is slow. */
function queryValidator(validate: ReturnType<typeof TypeBoxValidatorCompiler>): typeof validate {
  return (query) => {
    for (const _ in query) return validate(query)
    return true
  }
}

function textOf(request: FastifyRequest): string {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw new Problem('unsupported-media-type', 'The body must not be compressed.')
  const body = request.body as Buffer | undefined
  if (!body || body.length === 0) {
    throw request.headers['content-type'] === undefined
      ? new Problem('unsupported-media-type', `Send application/json or ${ndjson}.`)
      : new Problem('bad-request', 'The body is empty.', { line: 1, column: 1 })
  }
  const text = body.toString()
  if (isUtf8(body)) return text
  // What could not be decoded reads as U+FFFD, so the first byte that differs is the fault.
  const again = Buffer.from(text)
  const at = body.findIndex((byte, index) => byte !== again[index])
  const place = placeOf(text, body.subarray(0, at).toString().length)
  throw new Problem('bad-request', `The body is not UTF-8 at line ${place.line}, column ${place.column}.`, {
    ...place,
  })
}

function traceparentOf(request: FastifyRequest): string | undefined {
  const value = request.headers[traceHeader]
  return typeof value === 'string' ? value : undefined
}

function readSingle(text: string, request: FastifyRequest): NewEvent {
  const event = readEvent(text)
  request.topic = event.topic
  const key = request.headers['idempotency-key']
  if (key !== undefined) {
    const fault = faultOfId(key)
    if (fault) throw new Problem('bad-event', `Idempotency-Key: ${fault}`)
    if (event.id !== undefined && event.id !== key)
      throw new Problem('bad-event', 'The id and the Idempotency-Key differ; give one of them.', {
        pointer: '/id',
      })
    event.id = key as string
  }
  requirePublish(event, request)
  return event
}

function readLines(text: string, most: number): Line[] {
  const lines: Line[] = []
  for (const line of linesOf(text)) {
    if (lines.length === most)
      throw new Problem('too-large', `More than ${most} events in one batch.`, {
        line: line.number,
        column: 1,
      })
    lines.push(line)
  }
  if (lines.length === 0)
    throw new Problem('bad-request', 'There is no event in the body.', { line: 1, column: 1 })
  return lines
}

function readLine(line: Line, request: FastifyRequest, maxBytes: number): NewEvent {
  if (line.text.length * 3 > maxBytes && Buffer.byteLength(line.text) > maxBytes)
    throw new Problem('too-large', `The event is larger than ${maxBytes} bytes.`)
  const event = readEvent(line.text, line.number)
  requirePublish(event, request)
  return event
}

function requirePublish(event: NewEvent, request: FastifyRequest): void {
  requireGrant(request.grants?.publish ?? [], [event.topic], 'sse.publish')
}

/** Every event on its own, in order: a wrong one is refused and the others are stored. */
async function storeEach(lines: Line[], request: FastifyRequest, parts: EventsParts): Promise<string[]> {
  request.events = lines.length
  const store = parts.store()
  store.requireReady()
  const results: string[] = []
  let anyStored = false
  // The log is gone: further slices are not tried, so that they can't overtake what was lost.
  let outage: Problem | undefined
  const storeLine = async (line: Line): Promise<string> => {
    try {
      if (outage) throw outage
      const stored = await store.publish(
        readLine(line, request, parts.settings.MAX_EVENT_BYTES),
        traceparentOf(request),
      )
      anyStored = true
      return resultLine(stored)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      if (error.status >= 500) outage = error
      parts.metrics.refused(error.status >= 500)
      return JSON.stringify({ error: at(error, line).document() })
    }
  }
  for (let start = 0; start < lines.length; start += sliceEvents) {
    const slice = lines.slice(start, start + sliceEvents)
    results.push(...(await Promise.all(slice.map(storeLine))))
  }
  if (outage && !anyStored) {
    // Each line was counted above.
    request.events = 0
    throw outage
  }
  return results
}

/** All events or none: the first fault refuses the batch. */
async function storeAll(lines: Line[], request: FastifyRequest, parts: EventsParts): Promise<string[]> {
  request.events = lines.length
  const firstLineOf = new Map<string, number>()
  const events = lines.map((line) => {
    try {
      const event = readLine(line, request, parts.settings.MAX_EVENT_BYTES)
      const first = event.id === undefined ? undefined : firstLineOf.get(event.id)
      if (first !== undefined)
        throw new Problem('bad-event', `The id stands in line ${first} already.`, { pointer: '/id' })
      if (event.id !== undefined) firstLineOf.set(event.id, line.number)
      return event
    } catch (error) {
      throw error instanceof Problem ? at(error, line) : error
    }
  })
  const stored = await parts.store().publishAtomic(events, traceparentOf(request))
  return stored.map(resultLine)
}

function resultLine({ id, duplicate }: StoredEvent): string {
  return `{"id":"${id}","duplicate":${duplicate}}`
}

/** The problem with its line in the body, also when it concerns the event as a whole. */
function at(problem: Problem, line: Line): Problem {
  return new Problem(problem.problem, problem.message, {
    line: line.number,
    column: 1,
    ...problem.extensions,
  })
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Events that the request stands for in the metrics, 1 unless set. */
    events?: number
  }
}
