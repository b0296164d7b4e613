import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeNginxConfig } from '../../deploy/local/nginx-config.ts'
import { findNginx, type Nginx, startNginx, startUpstream, type Upstream } from '../support/nginx.ts'
import { freePort } from '../support/ports.ts'
import { waitUntil } from '../support/wait.ts'

const streamHeaders = { 'content-type': 'text/event-stream', connection: 'close' }

let gateway: Upstream
let publisher: Upstream
let nginx: Nginx

beforeAll(async () => {
  gateway = await startUpstream((request, response) =>
    response.writeHead(200, streamHeaders).end(`data: gateway ${request.method}\n\n`),
  )
  publisher = await startUpstream((request, response) => {
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
    })
    request.on('end', () => response.end(`publisher ${request.method} ${request.url} ${size}`))
  })
  nginx = await startNginx({ gateways: [gateway.port], publishers: [publisher.port] })
  await writeFile(join(nginx.folder, 'index.html'), '<h1>pages</h1>')
})
afterAll(async () => {
  await nginx?.stop()
  await Promise.all([gateway?.stop(), publisher?.stop()])
})

const get = async (path: string, init: RequestInit = {}) => await fetch(nginx.url + path, init)

describe('the configuration', () => {
  test('is accepted without a warning but the one about HTTP/2 on newer versions', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sse-cluster-nginx-'))
    try {
      const config = await writeNginxConfig(folder, {
        NGINX_ERROR_LOG: join(folder, 'error.log'),
        NGINX_ACCESS_LOG: join(folder, 'access.log'),
      })
      const { stderr, exitCode } = await execa(findNginx(), ['-t', '-e', 'stderr', '-c', config], {
        reject: false,
      })
      const complaints = stderr.split('\n').filter((line) => /\[(warn|error|alert|emerg)\]/.test(line))
      expect(
        complaints.filter((line) => !line.includes('"listen ... http2" directive is deprecated')),
      ).toEqual([])
      expect(exitCode).toBe(0)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('requests go', () => {
  test('by method: GET to the gateways, POST to the publishers, each preflight with its request', async () => {
    const preflight = (method: string) => ({
      method: 'OPTIONS',
      headers: { origin: 'https://shop.example', 'access-control-request-method': method },
    })
    expect(await (await get('/v1/events')).text()).toBe('data: gateway GET\n\n')
    expect(await (await get('/v1/events?atomic=true', { method: 'POST', body: '{}' })).text()).toBe(
      'publisher POST /v1/events?atomic=true 2',
    )
    expect(await (await get('/v1/events', preflight('GET'))).text()).toBe('data: gateway OPTIONS\n\n')
    expect(await (await get('/v1/events', preflight('POST'))).text()).toBe('publisher OPTIONS /v1/events 0')
  })

  test('with other methods nowhere', async () => {
    const answer = await get('/v1/events', { method: 'DELETE' })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET, POST, OPTIONS')
    expect(await answer.json()).toMatchObject({ type: 'urn:sse-cluster:problem:method-not-allowed' })
    // It would open a stream at a gateway only to show its headers.
    const head = await get('/v1/events', { method: 'HEAD' })
    expect([head.status, head.headers.get('allow')]).toEqual([405, 'GET, POST, OPTIONS'])
  })

  test('to pages and documentation', async () => {
    expect(await (await get('/')).text()).toBe('<h1>pages</h1>')
    expect(await (await get('/openapi.json')).text()).toBe('publisher GET /openapi.json 0')
    expect(await (await get('/docs/js/page.js')).text()).toBe('publisher GET /docs/js/page.js 0')
  })

  test('not to what is private', async () => {
    for (const path of [
      '/livez',
      '/readyz',
      '/metrics',
      '/status',
      '/-/stream',
      '/-/publish',
      '/-/problem/too-large',
    ]) {
      const answer = await get(path)
      expect([path, answer.status]).toEqual([path, 404])
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
      expect(answer.headers.get('server')).toBe('nginx')
    }
    expect(await (await fetch(nginx.statusUrl)).text()).toContain('Active connections')
  })

  test('over HTTP/2 with TLS too', async () => {
    const session = connectHttp2(nginx.tlsUrl, { ca: await readFile(nginx.certificate) })
    const request = session.request({ ':path': '/v1/events?topic=a', accept: 'text/event-stream' })
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    const headers = await new Promise<Record<string, unknown>>((resolve) => request.once('response', resolve))
    await new Promise((resolve) => request.once('close', resolve))
    session.close()
    expect([headers[':status'], headers['content-type'], text]).toEqual([
      200,
      'text/event-stream',
      'data: gateway GET\n\n',
    ])
  })
})

describe('limits answer with a problem that names them:', () => {
  const tooLong = 'x'.repeat(9000)
  test.each([
    ['a long address', 414, 'uri-too-long', `/v1/events?topic=${tooLong}`, {}],
    ['a large header', 431, 'headers-too-large', '/v1/events', { headers: { 'x-large': tooLong } }],
    ['a large batch', 413, 'too-large', '/v1/events', { method: 'POST', body: 'x'.repeat(9_000_000) }],
  ])('%s', async (_, status, name, path, init) => {
    const answer = await get(path, init)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await answer.json()).toMatchObject({ type: `urn:sse-cluster:problem:${name}`, status })
    expect((await get('/v1/events')).status).toBe(200)
  })

  test('a batch below 8 MB passes', async () => {
    const answer = await get('/v1/events', { method: 'POST', body: 'x'.repeat(7_900_000) })
    expect(await answer.text()).toContain('7900000')
  })

  test('what is no HTTP at all', async () => {
    const socket = connect(nginx.port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk
    })
    socket.write('GET /v1/events HTTP/1.1\r\nHost: a\r\nbroken header\u0000: x\r\n\r\n')
    await new Promise((resolve) => socket.once('close', resolve))
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).toContain('urn:sse-cluster:problem:bad-request')
  })

  test.each([
    ['headers that drip in', 'X-Drip: 1\r\n', 'X-Drip: 1\r\n'],
    ['a body that stops', 'Content-Length: 100\r\n\r\n{', ''],
  ])('%s: the connection ends, and no server is bothered', async (_, rest, drip) => {
    const server = await startNginx({
      publishers: [publisher.port],
      variables: { NGINX_HEADER_TIMEOUT: '1s', NGINX_BODY_TIMEOUT: '1s' },
    })
    const before = publisher.requests()
    const socket = connect(server.port, '127.0.0.1').on('error', () => undefined)
    socket.write(`POST /v1/events HTTP/1.1\r\nHost: a\r\n${rest}`)
    const dripping = setInterval(() => socket.write(drip), 100)
    await new Promise((resolve) => socket.resume().once('close', resolve))
    clearInterval(dripping)
    expect(publisher.requests()).toBe(before)
    expect((await fetch(`${server.url}/v1/events`, { method: 'POST', body: '{}' })).status).toBe(200)
    await server.stop()
  })

  test('too many publish requests', async () => {
    const strict = await startNginx({
      publishers: [publisher.port],
      variables: { NGINX_PUBLISH_RATE: '1', NGINX_PUBLISH_BURST: '1' },
    })
    const post = async () => await fetch(`${strict.url}/v1/events`, { method: 'POST', body: '{}' })
    const answers = [await post(), await post(), await post(), await post()]
    const refused = answers.find(({ status }) => status === 429)
    expect(refused?.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await refused?.json()).toMatchObject({ type: 'urn:sse-cluster:problem:too-many-requests' })
    await strict.stop()
  })
})

test('an event is never sent to a publisher twice', async () => {
  const dying = await Promise.all([0, 1].map(() => startUpstream((request) => request.socket.destroy())))
  const server = await startNginx({ publishers: dying.map(({ port }) => port) })
  const answer = await fetch(`${server.url}/v1/events`, { method: 'POST', body: '{}' })
  expect(answer.status).toBe(503)
  expect(await answer.json()).toMatchObject({ type: 'urn:sse-cluster:problem:unavailable' })
  expect(dying.reduce((sum, { requests }) => sum + requests(), 0)).toBe(1)
  await server.stop()
  await Promise.all(dying.map((one) => one.stop()))
})

describe('the logs', () => {
  test('say what was asked and who answered', async () => {
    await (
      await get('/v1/events?topic=a&last-event-id=abc-41', { headers: { 'x-request-id': 'logged-one' } })
    ).text()
    const entry = await waitUntil(
      () => nginx.accessLog().find(({ requestId }) => requestId === 'logged-one'),
      {
        what: 'the request to be logged',
      },
    )
    expect(entry).toMatchObject({
      method: 'GET',
      path: '/v1/events',
      status: 200,
      position: 'abc-41',
      upstream: `127.0.0.1:${gateway.port}`,
      upstreamStatus: '200',
      client: '127.0.0.1',
      durationSeconds: expect.any(Number),
      bytes: expect.any(Number),
    })
  })

  test('hold no token, whatever goes wrong', async () => {
    const secret = 'very-secret-token'
    const silent = await startUpstream((request) => request.socket.destroy())
    const server = await startNginx({
      gateways: [await freePort(), silent.port],
      variables: { NGINX_STREAMS_PER_CLIENT: '1', NGINX_PUBLISH_RATE: '1', NGINX_PUBLISH_BURST: '1' },
    })
    const ask = async (path: string, init: RequestInit = {}) =>
      await (await fetch(server.url + path, init)).text().catch(() => '')
    const query = `access_token=${secret}`
    for (let round = 0; round < 3; round++) {
      await ask(`/v1/events?topic=a&${query}`, { headers: { accept: 'text/event-stream' } })
      await ask(`/v1/events?${query}`, {
        method: 'POST',
        body: '{}',
        headers: { referer: `http://a/?${query}` },
      })
    }
    await ask('/v1/events', { headers: { authorization: `Bearer ${secret}`, cookie: `sse_token=${secret}` } })
    await ask('/v1/events', { headers: { 'last-event-id': secret } })
    await ask(`/v1/events?${query}&topic=${'x'.repeat(9000)}`)
    await ask(`/v1/events?${query}`, { headers: { 'x-large': 'x'.repeat(9000) } })
    await ask(`/none?${query}`)
    await ask(`/docs?${query}`)
    await ask(`/v1/events?${query}`, { method: 'DELETE' })
    await waitUntil(() => server.accessLog().length >= 13, { what: 'all requests to be logged' })
    expect(server.logText()).not.toContain(secret)
    await server.stop()
    await silent.stop()
  })
})
