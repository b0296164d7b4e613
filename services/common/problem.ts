/**
 * Refusals: `application/problem+json` (RFC 9457). The type is a stable name for programs, the detail says to a
 * person what is wrong and what to do.
 */
export type ProblemName =
  | 'bad-request'
  | 'bad-topic'
  | 'bad-position'
  | 'too-many-topics'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'method-not-allowed'
  | 'not-acceptable'
  | 'request-timeout'
  | 'too-large'
  | 'uri-too-long'
  | 'unsupported-media-type'
  | 'bad-event'
  | 'too-many-requests'
  | 'headers-too-large'
  | 'internal'
  | 'not-supported'
  | 'unavailable'

/** Status and title of each. */
export const problems: Record<ProblemName, { status: number; title: string }> = {
  'bad-request': { status: 400, title: 'The request can’t be read' },
  'bad-topic': { status: 400, title: 'A topic is malformed or missing' },
  'bad-position': { status: 400, title: 'The start position can’t be read' },
  'too-many-topics': { status: 400, title: 'Too many topics' },
  unauthenticated: { status: 401, title: 'A valid token is needed' },
  forbidden: { status: 403, title: 'The token does not grant this' },
  'not-found': { status: 404, title: 'There is nothing at this address' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here' },
  'not-acceptable': { status: 406, title: 'Only text/event-stream is served here' },
  'request-timeout': { status: 408, title: 'The request took too long to arrive' },
  'too-large': { status: 413, title: 'The body is too large' },
  'uri-too-long': { status: 414, title: 'The address is too long' },
  'unsupported-media-type': { status: 415, title: 'The content type is not supported' },
  'bad-event': { status: 422, title: 'The event is not valid' },
  'too-many-requests': { status: 429, title: 'Too many connections or requests' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  internal: { status: 500, title: 'The server failed' },
  'not-supported': { status: 501, title: 'This installation can’t do that' },
  unavailable: { status: 503, title: 'Not available right now' },
}

export interface ProblemDocument {
  type: string
  title: string
  status: number
  detail: string
  [extension: string]: unknown
}

export const problemType = 'application/problem+json'

export class Problem extends Error {
  readonly problem: ProblemName
  readonly status: number
  /** Members beyond RFC 9457's own, such as the place of a fault. */
  readonly extensions: Record<string, unknown>

  constructor(name: ProblemName, detail: string, extensions: Record<string, unknown> = {}) {
    super(detail)
    this.name = 'Problem'
    this.problem = name
    this.status = problems[name].status
    this.extensions = extensions
  }

  document(): ProblemDocument {
    const { status, title } = problems[this.problem]
    return {
      type: `urn:sse-cluster:problem:${this.problem}`,
      title,
      status,
      detail: this.message,
      ...this.extensions,
    }
  }
}
