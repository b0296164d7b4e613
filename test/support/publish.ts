export interface PostOptions {
  method?: string
  /** `/v1/events` unless told. */
  path?: string
  /** With its question mark. */
  query?: string
  headers?: Record<string, string>
}

export interface PostAnswer {
  status: number
  headers: Headers
  text: string
  /** The body as JSON; empty when it is none. */
  json: Record<string, unknown>
  /** The lines of an NDJSON body. */
  lines: Record<string, unknown>[]
}

/**
 * Publishes over HTTP: an object as JSON, a list (of objects, or of lines as they are) as NDJSON, a text as JSON
 * text; undefined sends no body.
 */
export async function post(url: string, body: unknown, options: PostOptions = {}): Promise<PostAnswer> {
  const { method = 'POST', path = '/v1/events', query = '', headers = {} } = options
  const batch = Array.isArray(body)
  const answer = await fetch(`${url}${path}${query}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': batch ? 'application/x-ndjson' : 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: batch ? body.map(textOf).join('\n') : textOf(body) }),
  })
  const text = await answer.text()
  const lines = text.split('\n').filter((line) => line !== '')
  const ndjson = answer.headers.get('content-type')?.includes('ndjson') === true
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    json: ndjson ? {} : parse(text),
    lines: ndjson ? lines.map(parse) : [],
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}
