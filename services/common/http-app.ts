import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Log } from './log.ts'
import { Problem } from './problem.ts'

export interface HttpAppOptions {
  log: Log
  maxHeaderBytes: number
  headersTimeoutMs: number
  bodyLimitBytes?: number
  /** Answers a request that was refused. */
  answer: (request: FastifyRequest, reply: FastifyReply, problem: Problem) => void
}

/** A Fastify application whose every refusal is a problem document, those of Node’s own HTTP parser included. */
export function createHttpApp(options: HttpAppOptions): FastifyInstance {
  const { log, answer } = options
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    requestIdHeader: 'x-request-id',
    genReqId: () => crypto.randomUUID(),
    forceCloseConnections: true,
    ...(options.bodyLimitBytes ? { bodyLimit: options.bodyLimitBytes } : {}),
    http: {
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, options.headersTimeoutMs),
    },
    clientErrorHandler: (error, socket) => answerRaw(socket, clientProblem(error as NodeJS.ErrnoException)),
  })
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error as Error & { statusCode?: number })
    if (problem.status >= 500 && problem.status !== 503) {
      log.error({ requestId: request.id, error: (error as Error).stack }, 'a request failed')
    }
    answer(request, reply, problem)
  })
  app.setNotFoundHandler((request, reply) => {
    answer(
      request,
      reply,
      new Problem('not-found', `There is nothing at ${request.url.split('?')[0]}; events are at /v1/events.`),
    )
  })
  return app
}

function problemOf(error: Error & { statusCode?: number }): Problem {
  if (error instanceof Problem) return error
  if (error.statusCode === 413) return new Problem('too-large', error.message)
  if (error.statusCode === 415) return new Problem('unsupported-media-type', error.message)
  if (error.statusCode !== undefined && error.statusCode < 500)
    return new Problem('bad-request', error.message)
  return new Problem('internal', 'The request failed; the log has the details under this request’s id.')
}

function clientProblem(error: NodeJS.ErrnoException): Problem {
  if (error.code === 'HPE_HEADER_OVERFLOW')
    return new Problem('headers-too-large', 'Request line and headers together are too large.')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new Problem('request-timeout', 'The request’s headers took too long to arrive.')
  return new Problem('bad-request', 'This is not a valid HTTP/1.1 request.')
}

function answerRaw(socket: Socket, problem: Problem): void {
  if (!socket.writable) return void socket.destroy()
  const body = JSON.stringify(problem.document())
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.document().title.replaceAll('’', "'")}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
