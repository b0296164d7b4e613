import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { PublisherClient, PublishRefused } from '../../services/demo/publisher-client.ts'
import { freePort } from '../support/ports.ts'
import { startService } from '../support/service.ts'

const event = { topic: 'demo.messages', type: 'message.broadcast', data: { text: 'hello' } }
const never = new AbortController().signal
let publisher: Server | undefined

afterEach(async () => {
  publisher?.closeAllConnections()
  await new Promise<void>((resolve) => (publisher ? publisher.close(() => resolve()) : resolve()))
  publisher = undefined
})

describe('publishing', () => {
  it('goes on until the event is stored, with the same id in every attempt', async () => {
    const { url, bodies } = await startPublisher([503, 500, 201])
    const retries: string[] = []
    const client = createClient(url, retries)
    expect(client.waitingFor).toBeDefined()
    await client.publish(event, never)
    expect(client.waitingFor).toBeUndefined()
    expect(retries).toHaveLength(2)
    expect(bodies).toHaveLength(3)
    expect(bodies[0]).toMatchObject(event)
    expect(new Set(bodies.map(({ id }) => id)).size).toBe(1)
  })

  it('waits for a publisher that is not there yet', async () => {
    const port = await freePort()
    const retries: string[] = []
    const stored = createClient(`http://127.0.0.1:${port}/v1/events`, retries).publish(event, never)
    const { bodies } = await startPublisher([201], port)
    await stored
    expect(bodies).toHaveLength(1)
  })

  it('gives up an event that is refused for good, and says why', async () => {
    const { url } = await startPublisher([403])
    const client = createClient(url)
    await expect(client.publish(event, never)).rejects.toThrow(PublishRefused)
    expect(client.waitingFor).toContain('403')
  })

  it('ends at once when it is told to stop', async () => {
    const stop = new AbortController()
    const client = createClient(`http://127.0.0.1:${await freePort()}/v1/events`, {
      push: () => stop.abort(),
    })
    await expect(client.publish(event, stop.signal)).rejects.toThrow('abort')
  })
})

describe('the demo service', () => {
  it('publishes every feed with its token, is ready once events are stored, and ends with 0 on SIGTERM', async () => {
    const { url, bodies, tokens } = await startPublisher([])
    const demo = await startService('demo', {
      PUBLISHER_URL: url,
      PUBLISHER_TOKEN: 'a-token',
      DEMO_RATE: 500,
      GATEWAY_METRICS_URLS: `http://127.0.0.1:${await freePort()}/metrics`,
      LOG_LEVEL: 'info',
    })
    const prefixes = ['quotes', 'news', 'orders', 'notifications', 'messages', 'cluster']
    await expect
      .poll(() =>
        prefixes.filter((prefix) => !bodies.some(({ topic }) => topic.startsWith(`demo.${prefix}`))),
      )
      .toEqual([])
    expect(tokens).toEqual(new Set(['Bearer a-token']))
    expect(await demo.metric('demo_events_published_total{feed="quotes"}')).toBeGreaterThan(0)
    expect(await demo.term()).toBe(0)
    expect(demo.output()).not.toContain('a-token')
  })

  it('is live and not ready while the publisher is away, and still ends with 0', async () => {
    const demo = await startService(
      'demo',
      { PUBLISHER_URL: `http://127.0.0.1:${await freePort()}/v1/events`, DEMO_RATE: 50 },
      { ready: false },
    )
    await expect.poll(() => demo.output(), { timeout: 15_000 }).toContain('ECONNREFUSED')
    expect((await fetch(`${demo.operationsUrl}/livez`)).status).toBe(200)
    expect((await fetch(`${demo.operationsUrl}/readyz`)).status).toBe(503)
    expect(await demo.term()).toBe(0)
  })

  it('does not start with a bad setting, and names it', async () => {
    const demo = await startService('demo', { DEMO_RATE: 'fast' }, { ready: false })
    expect(await demo.exited).toBe(1)
    expect(demo.output()).toContain('DEMO_RATE')
  })
})

interface Body {
  id: string
  topic: string
}

/** Answers with `statuses`, one after the other, and with 201 from then on. */
async function startPublisher(statuses: number[], port?: number) {
  const bodies: Body[] = []
  const tokens = new Set<string | undefined>()
  const server = createServer(async (request, response) => {
    bodies.push(JSON.parse(await text(request)) as Body)
    tokens.add(request.headers.authorization)
    response.writeHead(statuses.shift() ?? 201, { 'content-type': 'application/json' }).end('{}')
  })
  const actualPort = port ?? (await freePort())
  await new Promise<void>((resolve) => server.listen(actualPort, '127.0.0.1', resolve))
  publisher = server
  return { url: `http://127.0.0.1:${actualPort}/v1/events`, bodies, tokens }
}

function createClient(url: string, retries: { push(reason: string): void } = []): PublisherClient {
  return new PublisherClient({ url, token: '', random: () => 0, onRetry: (reason) => retries.push(reason) })
}
