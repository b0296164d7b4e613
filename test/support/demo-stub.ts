import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { extname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { covers } from '../../services/contract/topic.ts'
import type { DemoEvent } from '../../services/demo/feeds/feed.ts'
import { freePort } from './ports.ts'

/**
 * Serves the demo pages and speaks the contract on the wire, so that the pages are tested on their own: what they
 * do with gaps, cuts and refusals. The whole way through Nginx, gateway and log is tested elsewhere.
 */
export interface DemoStub {
  url: string
  /** Stores an event and sends it to everybody who wants it. */
  publish(event: DemoEvent): void
  /** Tells every reader of a gap. */
  gap(reason: string): void
  /** Ends every stream in the middle. */
  cut(): void
  /** Streams are refused with this problem from now on; undefined: served again. */
  refuse(problem: { status: number; title: string; detail: string } | undefined): void
  /** The position with which each stream was asked for, oldest first; '' for none. */
  readonly positions: readonly string[]
  close(): Promise<void>
}

/** What Nginx may send: nothing inline, nothing from elsewhere. */
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const pages = join(import.meta.dirname, '../../services/demo/pages')
const mediaTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
}
const epoch = 'stub'

interface Stored extends DemoEvent {
  id: string
  frame: string
}

export async function startDemoStub(): Promise<DemoStub> {
  const log: Stored[] = []
  const known = new Map<string, string>()
  const positions: string[] = []
  const readers = new Set<{ topics: string[]; response: ServerResponse }>()
  let refusal: { status: number; title: string; detail: string } | undefined

  const head = () => `${epoch}-${log.length}`
  const wants = (topics: string[], topic: string) => topics.some((pattern) => covers(pattern, topic))

  const publish = (event: DemoEvent): string => {
    const id = `${epoch}-${log.length + 1}`
    const data = JSON.stringify({ topic: event.topic, time: new Date().toISOString(), data: event.data })
    const type = event.type ? `event: ${event.type}\n` : ''
    const stored = { ...event, id, frame: `id: ${id}\n${type}data: ${data}\n\n` }
    log.push(stored)
    for (const { topics, response } of readers) if (wants(topics, event.topic)) response.write(stored.frame)
    return id
  }

  const subscribe = (request: IncomingMessage, response: ServerResponse, query: URLSearchParams) => {
    if (refusal) {
      const type = 'application/problem+json'
      return response.writeHead(refusal.status, { 'content-type': type }).end(JSON.stringify(refusal))
    }
    const topics = query.getAll('topic')
    const position = String(request.headers['last-event-id'] ?? query.get('last-event-id') ?? '')
    positions.push(position)
    const from = position ? Number(position.split('-')[1]) : query.has('since') ? 0 : log.length
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(`retry: 100\nid: ${epoch}-${from}\nevent: $position\ndata: {}\n\n`)
    for (const stored of log.slice(from)) if (wants(topics, stored.topic)) response.write(stored.frame)
    response.write(`id: ${head()}\nevent: $live\ndata: {}\n\n`)
    const reader = { topics, response }
    readers.add(reader)
    return response.once('close', () => readers.delete(reader))
  }

  const accept = async (request: IncomingMessage, response: ServerResponse) => {
    const event = JSON.parse(await text(request)) as DemoEvent
    const key = String(request.headers['idempotency-key'] ?? '')
    const duplicate = known.has(key)
    const id = known.get(key) ?? publish(event)
    if (key) known.set(key, id)
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ id, duplicate }))
  }

  const serveFile = async (path: string, response: ServerResponse) => {
    const name = path === '/' ? 'index.html' : path.slice(1)
    const body = /^[\w-]+\.\w+$/.test(name)
      ? await readFile(join(pages, name)).catch(() => undefined)
      : undefined
    if (!body) return response.writeHead(404).end('not found')
    const type = mediaTypes[extname(name)] ?? 'application/octet-stream'
    const headers = { 'content-type': type, 'content-security-policy': contentSecurityPolicy }
    return response.writeHead(200, headers).end(body)
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    if (url.pathname !== '/v1/events') return await serveFile(url.pathname, response)
    return request.method === 'POST'
      ? await accept(request, response)
      : subscribe(request, response, url.searchParams)
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${port}`,
    publish,
    gap(reason) {
      const data = JSON.stringify({ requested: `${epoch}-1`, resumedAt: head(), reason })
      for (const { response } of readers) response.write(`id: ${head()}\nevent: $gap\ndata: ${data}\n\n`)
    },
    cut() {
      for (const { response } of readers) response.destroy()
    },
    refuse(problem) {
      refusal = problem
    },
    positions,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
