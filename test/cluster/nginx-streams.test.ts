import type { RequestListener, ServerResponse } from 'node:http'
import { EventSource } from 'eventsource'
import { afterEach, describe, expect, test } from 'vitest'
import { type Nginx, type NginxOptions, startNginx, startUpstream, type Upstream } from '../support/nginx.ts'
import { freePort } from '../support/ports.ts'
import { waitUntil } from '../support/wait.ts'

const cleanup: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of cleanup.splice(0).reverse()) await stop()
})

async function nginx(options: NginxOptions): Promise<Nginx> {
  const started = await startNginx(options)
  cleanup.push(() => started.stop())
  return started
}

async function upstream(handler: RequestListener): Promise<Upstream> {
  const started = await startUpstream(handler)
  cleanup.push(() => started.stop())
  return started
}

const asEventSource = { headers: { accept: 'text/event-stream' } }
const streamHeaders = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no', connection: 'close' }

/** A gateway that answers with its name and ends. */
const named = (name: string) =>
  upstream((_, response) => response.writeHead(200, streamHeaders).end(`data: ${name}\n\n`))
const refusing = (status: number) => upstream((_, response) => response.writeHead(status).end('no'))

describe('a stream', () => {
  test('arrives byte by byte as the gateway sends it', async () => {
    let gatewaySide: ServerResponse | undefined
    const gateway = await upstream((_, response) => {
      gatewaySide = response.writeHead(200, streamHeaders)
      response.write('retry: 1000\n\n')
    })
    const { url } = await nginx({ gateways: [gateway.port] })
    const answer = await fetch(`${url}/v1/events?topic=a`, asEventSource)
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    const next = async () => new TextDecoder().decode((await reader.read()).value)
    // Each block is read before the next is written: nothing waits for more to come.
    expect(await next()).toBe('retry: 1000\n\n')
    for (const block of ['data: 1\n\n', 'data: 2\n\n']) {
      gatewaySide?.write(block)
      expect(await next()).toBe(block)
    }
    expect(answer.headers.get('x-accel-buffering')).toBe('no')
    expect(answer.headers.get('content-encoding')).toBeNull()
    await reader.cancel()
    await waitUntil(() => gatewaySide?.destroyed, { what: 'the gateway to see that the client has left' })
  })

  test('goes on through a reload', async () => {
    let gatewaySide: ServerResponse | undefined
    const gateway = await upstream((_, response) => {
      gatewaySide = response.writeHead(200, streamHeaders)
      response.write('data: before\n\n')
    })
    const server = await nginx({ gateways: [gateway.port] })
    const answer = await fetch(`${server.url}/v1/events?topic=a`, asEventSource)
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    await server.reload()
    gatewaySide?.end('data: after\n\n')
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: after\n\n')
    expect((await reader.read()).done).toBe(true)
  })

  test('carries position, query and request id to the gateway, and no claims of the client', async () => {
    let seen: { url: string | undefined; headers: NodeJS.Dict<string | string[]> } | undefined
    const gateway = await upstream((request, response) => {
      seen = { url: request.url, headers: request.headers }
      response.writeHead(200, streamHeaders).end()
    })
    const { url } = await nginx({ gateways: [gateway.port] })
    const answer = await fetch(`${url}/v1/events?topic=news.*&topic=a.%3E&access_token=t`, {
      headers: {
        accept: 'text/event-stream',
        'last-event-id': 'abc-12',
        'x-request-id': 'my-request-1',
        'x-retry-elsewhere': 'no',
        'x-forwarded-for': '1.2.3.4',
        'x-forwarded-proto': 'https',
      },
    })
    expect(seen?.url).toBe('/v1/events?topic=news.*&topic=a.%3E&access_token=t')
    expect(seen?.headers).toMatchObject({
      'last-event-id': 'abc-12',
      'x-request-id': 'my-request-1',
      'x-retry-elsewhere': 'yes',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
    })
    expect(answer.headers.get('x-request-id')).toBe('my-request-1')
  })
})

describe('before the first byte another gateway takes over', () => {
  test('from one that is down', async () => {
    const alive = await named('alive')
    const { url } = await nginx({ gateways: [await freePort(), alive.port] })
    for (let round = 0; round < 6; round++) {
      expect(await (await fetch(`${url}/v1/events?topic=a`, asEventSource)).text()).toBe('data: alive\n\n')
    }
  })

  test.each([502, 503, 504])('from one that answers %i', async (status) => {
    const [draining, alive] = [await refusing(status), await named('alive')]
    const { url } = await nginx({ gateways: [draining.port, alive.port] })
    for (let round = 0; round < 6; round++) {
      expect(await (await fetch(`${url}/v1/events?topic=a`, asEventSource)).text()).toBe('data: alive\n\n')
    }
    expect(draining.requests()).toBeGreaterThan(0)
  })

  test('but not for 429, which would put every gateway out of use for all', async () => {
    const greedy = (request: { headers: NodeJS.Dict<string | string[]> }) =>
      request.headers.cookie === 'greedy'
    const gateways = await Promise.all(
      ['one', 'two'].map(() =>
        upstream((request, response) =>
          greedy(request)
            ? response.writeHead(429).end()
            : response.writeHead(200, streamHeaders).end('data: ok\n\n'),
        ),
      ),
    )
    const { url } = await nginx({ gateways: gateways.map(({ port }) => port) })
    for (let round = 0; round < 4; round++) {
      const refused = await fetch(`${url}/v1/events?topic=a`, { headers: { cookie: 'greedy' } })
      expect(refused.status).toBe(429)
      expect(refused.headers.get('content-type')).toBe('application/problem+json')
      const other = await fetch(`${url}/v1/events?topic=a`, asEventSource)
      expect(await other.text()).toBe('data: ok\n\n')
    }
  })
})

describe('when no gateway can serve (G7)', () => {
  test('an EventSource gets 200 and a jittered retry, from any origin', async () => {
    const { url } = await nginx({ gateways: [await freePort(), await freePort()] })
    const pauses = new Set<string>()
    for (let round = 0; round < 30; round++) {
      const answer = await fetch(`${url}/v1/events?topic=a`, {
        headers: { accept: 'text/event-stream', origin: 'https://shop.example' },
      })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe('text/event-stream')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('access-control-allow-origin')).toBe('https://shop.example')
      expect(answer.headers.get('access-control-allow-credentials')).toBe('true')
      const text = await answer.text()
      expect(text).toMatch(/^retry: \d+\n\n$/)
      pauses.add(text)
    }
    const values = [...pauses].map((text) => Number(/\d+/.exec(text)?.[0]))
    expect(Math.min(...values)).toBeGreaterThanOrEqual(1000)
    expect(Math.max(...values)).toBeLessThanOrEqual(15_900)
    expect(pauses.size).toBeGreaterThan(10)
  })

  test.each([429, 500, 502, 503, 504])('also when the gateway answers %i', async (status) => {
    const gateway = await refusing(status)
    const { url } = await nginx({ gateways: [gateway.port] })
    const answer = await fetch(`${url}/v1/events?topic=a`, asEventSource)
    expect(answer.status).toBe(200)
    expect(await answer.text()).toMatch(/^retry: \d+\n\n$/)
    const plain = await fetch(`${url}/v1/events?topic=a`)
    expect(plain.status).toBe(status === 429 ? 429 : 503)
    expect(Number(plain.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(plain.headers.get('content-type')).toBe('application/problem+json')
    expect(await plain.json()).toMatchObject({ status: plain.status, title: expect.any(String) })
  })

  test('a stock EventSource does not give up', async () => {
    const { url } = await nginx({ gateways: [await freePort()] })
    const source = new EventSource(`${url}/v1/events?topic=a`)
    await new Promise((resolve) => source.addEventListener('error', resolve))
    expect(source.readyState).toBe(source.CONNECTING)
    source.close()
  })

  test('a gateway that is back is used again within seconds', async () => {
    const port = await freePort()
    const { url } = await nginx({ gateways: [port, await freePort()] })
    expect(await (await fetch(`${url}/v1/events?topic=a`, asEventSource)).text()).toContain('retry:')
    const back = await startUpstream(
      (_, response) => response.writeHead(200, streamHeaders).end('data: back\n\n'),
      port,
    )
    cleanup.push(() => back.stop())
    await waitUntil(
      async () => (await (await fetch(`${url}/v1/events`, asEventSource)).text()) === 'data: back\n\n',
      {
        what: 'the gateway to be used again',
      },
    )
  })

  test('refusals that are not passing reach the client as they are', async () => {
    const gateway = await upstream((_, response) =>
      response.writeHead(403, { 'content-type': 'application/problem+json' }).end('{"status":403}'),
    )
    const { url } = await nginx({ gateways: [gateway.port] })
    const answer = await fetch(`${url}/v1/events?topic=a`, asEventSource)
    expect(answer.status).toBe(403)
    expect(await answer.json()).toEqual({ status: 403 })
  })

  test('the limit on streams per address is one of these conditions', async () => {
    const gateway = await upstream((_, response) =>
      response.writeHead(200, streamHeaders).write('data: 1\n\n'),
    )
    const { url } = await nginx({ gateways: [gateway.port], variables: { NGINX_STREAMS_PER_CLIENT: '1' } })
    const first = await fetch(`${url}/v1/events?topic=a`, asEventSource)
    const second = await fetch(`${url}/v1/events?topic=a`, asEventSource)
    expect([second.status, await second.text()]).toEqual([200, expect.stringMatching(/^retry: /)])
    expect((await fetch(`${url}/v1/events?topic=a`)).status).toBe(429)
    await first.body?.cancel()
  })
})
