import type { Socket } from 'node:net'
import cors from '@fastify/cors'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type HttpApp, sendProblem } from '../../common/http-app.ts'
import { Problem } from '../../common/problem.ts'
import { type Grants, requireGrant, type TokenVerifier } from '../../common/token.ts'
import { isTopicPattern } from '../../contract/topic.ts'
import { corsOrigins } from '../config.ts'
import { takeSocket } from '../http-socket.ts'
import type { Start, Wish } from '../start-position.ts'

export interface StreamOpener {
  /** @throws Problem when the pod can’t serve one more stream right now, or no longer from `start`. */
  requireRoom(subject: string, start?: Start): void
  /** @throws Problem for a position that can't be read, or while the log can't be asked. */
  startPosition(wish: Wish): Promise<Start>
  /** Takes over a socket on which nothing has been written yet. */
  open(socket: Socket, head: string, start: Start, topics: string[], grants: Grants, requestId: string): void
  retryMs(): number
}

export interface EventsRouteOptions {
  tokens: TokenVerifier
  opener: StreamOpener
  maxTopics: number
  maxUrlBytes: number
  corsOrigins: string
}

type Query = Record<string, string | string[] | undefined>

/** `GET /v1/events`: one stream of the topics asked for. */
export function eventsRoute(app: HttpApp, options: EventsRouteOptions): void {
  const origin = corsOrigins(options.corsOrigins)
  if (origin) {
    app.register(cors, {
      origin,
      credentials: origin !== true,
      methods: ['GET'],
      allowedHeaders: ['Authorization', 'Last-Event-ID', 'Cache-Control'],
    })
  }
  app.route({
    method: 'GET',
    url: '/v1/events',
    // Fastify's own HEAD would run the same handler, and so open a stream.
    exposeHeadRoute: false,
    handler: (request, reply) => subscribe(request, reply, options),
  })
}

async function subscribe(
  request: FastifyRequest,
  reply: FastifyReply,
  options: EventsRouteOptions,
): Promise<void> {
  const { opener } = options
  const url = request.raw.url as string
  if (url.length > options.maxUrlBytes) {
    throw new Problem(
      'uri-too-long',
      `The address has ${url.length} bytes, ${options.maxUrlBytes} are allowed: use wildcards for many topics.`,
    )
  }
  requireEventStream(request.headers.accept)
  const query = request.query as Query
  const topics = topicsOf(query, options.maxTopics)
  const grants = await options.tokens.verify({
    headers: request.headers,
    queryToken: only(query, 'access_token'),
  })
  request.grants = grants
  requireGrant(grants.subscribe, topics, 'sse.subscribe')
  opener.requireRoom(grants.subject)
  const start = await opener.startPosition({
    lastEventId: lastEventId(request, query),
    since: only(query, 'since'),
  })
  // The client may have gone while the log was asked, or sent something that was refused.
  if (!request.raw.socket.writable) return void reply.hijack()
  // Sent behind another request whose answer is not out: that one may be a stream, which keeps the socket.
  if (reply.raw.socket === null) {
    throw new Problem('bad-request', 'Ask for a stream only when the connection’s last answer is complete.')
  }
  opener.requireRoom(grants.subject, start)
  reply.hijack()
  const { socket } = takeSocket(request.raw, reply.raw)
  opener.open(socket, responseHead(reply), start, topics, grants, request.id)
}

/** @throws Problem `not-acceptable`. No Accept header, and the usual wildcards, accept everything. */
function requireEventStream(accept: string | undefined): void {
  if (accept === undefined || /text\/event-stream|text\/\*|\*\/\*/i.test(accept)) return
  throw new Problem(
    'not-acceptable',
    'This resource is an event stream; ask with `Accept: text/event-stream`.',
  )
}

function topicsOf(query: Query, maxTopics: number): string[] {
  const given = query.topic
  const topics = given === undefined ? [] : Array.isArray(given) ? given : [given]
  if (topics.length === 0) {
    throw new Problem('bad-topic', 'Name at least one topic: /v1/events?topic=news.tech', {
      parameter: 'topic',
    })
  }
  if (topics.length > maxTopics) {
    throw new Problem(
      'too-many-topics',
      `${topics.length} topics, ${maxTopics} are allowed: use wildcards, or several streams.`,
    )
  }
  for (const topic of topics) {
    if (isTopicPattern(topic)) continue
    throw new Problem(
      'bad-topic',
      `${JSON.stringify(topic.slice(0, 300))} is not a topic: 1 to 16 tokens of A-Z a-z 0-9 _ - joined by dots; * stands for one token, > for the rest.`,
      { parameter: 'topic' },
    )
  }
  return topics
}

function lastEventId(request: FastifyRequest, query: Query): string | undefined {
  const header = request.headers['last-event-id']
  const value = Array.isArray(header) ? header[0] : header
  return value || only(query, 'last-event-id')
}

function only(query: Query, name: string): string | undefined {
  const value = query[name]
  return Array.isArray(value) ? value[0] : value
}

/**
 * The head of a stream, written by hand because the socket is no longer HTTP’s. The end of the body is the end of
 * the connection (RFC 9112, 6.3): nothing has to be wrapped in chunks.
 */
function responseHead(reply: FastifyReply): string {
  let head =
    'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n'
  for (const [name, value] of Object.entries(reply.getHeaders())) head += `${name}: ${String(value)}\r\n`
  return `${head}\r\n`
}

/**
 * Answers with a problem. A passing condition would end a native EventSource for ever (it gives up on any answer but
 * 200), so it gets an empty stream that says when to come back; unless the proxy in front can try another pod.
 */
export function answerProblem(reply: FastifyReply, problem: Problem, retryMs: number): void {
  const { headers } = reply.request
  const passing = problem.status === 503 || problem.status === 429
  const elsewhere = headers['x-retry-elsewhere'] === 'yes'
  reply.header('cache-control', 'no-store')
  if (passing && !elsewhere && headers.accept?.includes('text/event-stream')) {
    reply.request.problem = problem.problem
    reply.code(200).header('content-type', 'text/event-stream').header('x-accel-buffering', 'no')
    reply.header('connection', 'close').send(`retry: ${retryMs}\n\n`)
    return
  }
  sendProblem(reply, problem, retryMs)
}
