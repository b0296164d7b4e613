import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import { freePort } from '../support/ports.ts'
import { type Service, startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

interface Span {
  service: string
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: { stringValue?: string } }[]
  status: { code?: number }
}

/** What an OpenTelemetry collector would get: OTLP over HTTP, as JSON. */
class Collector {
  readonly spans: Span[] = []
  readonly port: number
  private readonly server: Server

  private constructor(port: number) {
    this.port = port
    this.server = createServer(async (request, response) => {
      let body = ''
      for await (const piece of request.setEncoding('utf8')) body += piece
      if (request.url === '/v1/traces') this.take(JSON.parse(body))
      response.setHeader('content-type', 'application/json').end('{}')
    })
  }

  static async start(): Promise<Collector> {
    const collector = new Collector(await freePort())
    await new Promise<void>((resolve) => collector.server.listen(collector.port, '127.0.0.1', resolve))
    return collector
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async untilSpan(name: string, eventId: string): Promise<Span> {
    return await waitUntil(
      () =>
        this.spans.find((span) => span.name === name && attribute(span, 'messaging.message.id') === eventId),
      { what: `the span "${name}" of ${eventId}` },
    )
  }

  close(): void {
    this.server.closeAllConnections()
    this.server.close()
  }

  private take(body: {
    resourceSpans: {
      resource: { attributes: Span['attributes'] }
      scopeSpans: { spans: Omit<Span, 'service'>[] }[]
    }[]
  }): void {
    for (const { resource, scopeSpans } of body.resourceSpans) {
      const service = attribute(resource, 'service.name') ?? ''
      for (const { spans } of scopeSpans) this.spans.push(...spans.map((span) => ({ ...span, service })))
    }
  }
}

function attribute(of: Pick<Span, 'attributes'>, key: string): string | undefined {
  return of.attributes.find((item) => item.key === key)?.value.stringValue
}

let lab: Lab
let collector: Collector
let gateway: Service
let publisher: Service

beforeAll(async () => {
  lab = await Lab.start()
  collector = await Collector.start()
  // By chance next to nothing is traced: what the tests see was asked for.
  const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, TRACE_ONE_IN: 1_000_000_000 }
  gateway = await lab.gateway(settings)
  publisher = await startService('publisher', { NATS_URL: lab.nats.url, ...settings })
})
afterAll(async () => {
  await publisher?.kill()
  await lab?.stop()
  collector?.close()
})

async function publish(to: Service, headers: Record<string, string> = {}): Promise<string> {
  const answer = await fetch(`${to.url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ topic: 'orders.42', data: {} }),
  })
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { id: string }).id
}

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const callerSpan = '00f067aa0ba902b7'
const sampled = { traceparent: `00-${traceId}-${callerSpan}-01` }

test('a sampled event can be followed by its id from its caller to the flush', async () => {
  const client = await lab.liveClient(gateway, ['orders.42'])
  const id = await publish(publisher, sampled)
  await client.untilEvent((event) => event.id === id)
  const published = await collector.untilSpan('publish', id)
  const delivered = await collector.untilSpan('deliver', id)
  expect(published).toMatchObject({ traceId, parentSpanId: callerSpan, service: 'sse-cluster-publisher' })
  expect(delivered).toMatchObject({
    traceId,
    parentSpanId: published.spanId,
    service: 'sse-cluster-gateway',
  })
  expect(attribute(delivered, 'messaging.destination.name')).toBe('orders.42')
  expect(BigInt(delivered.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(delivered.startTimeUnixNano))
})

test('each event of a batch has its own span', async () => {
  const answer = await fetch(`${publisher.url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson', ...sampled },
    body: '{"topic":"a","data":1}\n{"topic":"b","data":2}\n',
  })
  const ids = (await answer.text())
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: string }).id)
  const spans = await Promise.all(ids.map((id) => collector.untilSpan('deliver', id)))
  expect(spans.map((span) => attribute(span, 'messaging.destination.name'))).toEqual(['a', 'b'])
})

test('what was not sampled leaves no trace', async () => {
  const quiet = [
    await publish(publisher),
    await publish(publisher, { traceparent: `00-${traceId}-${callerSpan}-00` }),
  ]
  // Spans leave in order: once this one is there, the others would be.
  const loud = await publish(publisher, sampled)
  await collector.untilSpan('publish', loud)
  await collector.untilSpan('deliver', loud)
  const seen = collector.spans.map((span) => attribute(span, 'messaging.message.id'))
  for (const id of quiet) expect(seen).not.toContain(id)
})

test('without a collector no event is marked, even when its caller asks', async () => {
  const plain = await startService('publisher', { NATS_URL: lab.nats.url })
  const client = await lab.liveClient(gateway, ['orders.42'])
  const id = await publish(plain, sampled)
  await client.untilEvent((event) => event.id === id)
  const marked = await publish(publisher, sampled)
  await collector.untilSpan('deliver', marked)
  expect(collector.spans.map((span) => attribute(span, 'messaging.message.id'))).not.toContain(id)
  await plain.kill()
})

test('a failed publish is an error in its trace', async () => {
  const alone = await startService('publisher', {
    NATS_URL: lab.nats.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    ACK_TIMEOUT_MS: 100,
    STREAM_NAME: 'EVENTS',
  })
  const writer = await lab.writer()
  const before = collector.spans.length
  await writer.manager.streams.delete('EVENTS')
  await waitUntil(
    async () => {
      await fetch(`${alone.url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...sampled },
        body: '{"topic":"gone","data":1}',
      })
      return collector.spans.slice(before).some((span) => span.status.code === 2)
    },
    { what: 'a span with an error' },
  )
  await alone.kill()
})
