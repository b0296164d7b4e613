import { maxHeaderSize } from 'node:http'
import type { Socket } from 'node:net'
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyError, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Log } from './log.ts'
import { Problem, problemType } from './problem.ts'
import type { Grants } from './token.ts'

/** How long a refused client may go on sending: closing at once could take the refusal away from it. */
const lingerMs = 2_000

/** Methods of each path, for 405; filled from the routes. */
type MethodsByPath = Map<string, Set<string>>

export interface HttpAppOptions {
  log: Log
  /** Of a request's address and headers together. */
  maxHeaderBytes: number
  headersTimeoutMs: number
  requestTimeoutMs: number
  keepAliveTimeoutMs: number
  /** Answers a request that was refused; with its problem document unless told. */
  answer?: (reply: FastifyReply, problem: Problem) => unknown
}

/** A Fastify application whose every refusal is a problem document, those of Node's own HTTP parser included. */
export function createHttpApp(options: HttpAppOptions) {
  const { log, answer = sendProblem } = options
  const app = Fastify({
    logger: false,
    // Behind Nginx its id stands in both logs.
    genReqId: (request) => requestId(request.headers['x-request-id']),
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    http: {
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, options.headersTimeoutMs / 2),
    },
    // While draining, what still arrives is served too; Fastify's own 503 would be no problem document.
    return503OnClosing: false,
    clientErrorHandler,
    frameworkErrors: (error, _request, reply) => answer(reply, toProblem(error)),
    // 1 KiB more than the address could ever have: Node's own limit speaks first.
    routerOptions: { maxParamLength: maxHeaderSize },
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  app.removeAllContentTypeParsers()

  const methods: MethodsByPath = new Map()
  app.addHook('onRoute', (route) => {
    const known = methods.get(route.url) ?? new Set()
    for (const method of [route.method].flat()) known.add(method)
    methods.set(route.url, known)
  })
  app.setNotFoundHandler((request) => {
    throw notFound(request, methods)
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toProblem(error)
    if (problem.status === 500) log.error({ request: request.id, error: error.stack }, 'a request failed')
    answer(reply, problem)
  })
  app.addHook('onResponse', async (request, reply) => {
    const status = reply.statusCode
    const level = status >= 500 ? 'warn' : status >= 400 ? 'info' : 'debug'
    if (!log.isLevelEnabled(level)) return
    // Never the address: it may hold a token.
    log[level](
      {
        request: request.id,
        method: request.method,
        path: request.url.split('?')[0],
        status,
        subject: request.grants?.subject || undefined,
        topic: request.topic,
        problem: request.problem,
        ms: Math.round(reply.elapsedTime * 10) / 10,
      },
      'answered',
    )
  })
  return app
}

export type HttpApp = ReturnType<typeof createHttpApp>

/** Answers with a problem document. A passing problem says when to come back, in whole seconds. */
export function sendProblem(reply: FastifyReply, problem: Problem, retryMs = 1_000): FastifyReply {
  reply.request.problem = problem.problem
  if (problem.status === 503 || problem.status === 429) {
    reply.header('retry-after', Math.max(1, Math.ceil(retryMs / 1000)))
  }
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  if (problem.status === 415) reply.header('accept-post', 'application/json, application/x-ndjson')
  const allow = problem.extensions.allow
  if (Array.isArray(allow)) reply.header('allow', allow.join(', '))
  return reply
    .code(problem.status)
    .header('content-type', problemType)
    .send(JSON.stringify({ ...problem.document(), request: reply.request.id }))
}

let lastRequest = 0

function requestId(given: string | string[] | undefined): string {
  if (typeof given === 'string' && /^[\w.-]{1,64}$/.test(given)) return given
  return `${process.pid.toString(36)}-${(++lastRequest).toString(36)}`
}

function notFound(request: FastifyRequest, methods: MethodsByPath): Problem {
  const path = request.url.split('?')[0] as string
  const allowed = methods.get(path)
  if (!allowed) return new Problem('not-found', 'There is nothing here; see /docs.')
  const allow = [...allowed].sort()
  return new Problem(
    'method-not-allowed',
    `${request.method} is not allowed here, only ${allow.join(', ')}.`,
    {
      allow,
    },
  )
}

function toProblem(error: Error & { code?: string; statusCode?: number; validation?: unknown }): Problem {
  if (error instanceof Problem) return error
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem(
        'unsupported-media-type',
        'Send one event as application/json or several as application/x-ndjson.',
      )
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem('too-large', 'The body is larger than this service takes.')
  }
  if (error.validation || (error.statusCode && error.statusCode < 500))
    return new Problem('bad-request', `The request can’t be read: ${error.message}.`)
  return new Problem('internal', 'The server failed; its log says why.')
}

/** Requests that Node's parser refuses never reach Fastify. */
function clientErrorHandler(error: Error & { code?: string }, socket: Socket): void {
  if (socket.destroyed || socket.writableEnded || error.code === 'ECONNRESET') return
  const problem = parserProblem(error.code)
  const body = JSON.stringify(problem.document())
  socket.end(
    `HTTP/1.1 ${problem.status} Refused\r\nContent-Type: ${problemType}\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
  socket.resume()
  setTimeout(() => socket.destroy(), lingerMs).unref()
}

function parserProblem(code: string | undefined): Problem {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new Problem('headers-too-large', 'The address and headers together are too large.')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Problem('request-timeout', 'The request took too long to arrive.')
  return new Problem('bad-request', 'This is not an HTTP/1.1 request.')
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Name of the problem that was answered, for the log. */
    problem?: string
    /** Topic of a single event, for the log. */
    topic?: string
    /** Who is asking, once that is known. */
    grants?: Grants
  }
}
