import { afterAll, beforeAll, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { Service } from '../support/service.ts'

let lab: Lab
let closed: Service
let listed: Service
let wide: Service

const known = 'https://app.example'
beforeAll(async () => {
  lab = await Lab.start()
  ;[closed, listed, wide] = await Promise.all([
    lab.gateway(),
    lab.gateway({ CORS_ORIGINS: `${known}, https://other.example` }),
    lab.gateway({ CORS_ORIGINS: '*' }),
  ])
})
afterAll(() => lab?.stop())

async function headersFor(gateway: Service, origin: string, query = 'topic=a'): Promise<Headers> {
  const answer = await fetch(`${gateway.url}/v1/events?${query}`, { headers: { origin } })
  await answer.body?.cancel()
  return answer.headers
}
const allowed = (headers: Headers) => headers.get('access-control-allow-origin')

test('without a list no other origin may read', async () => {
  expect(allowed(await headersFor(closed, known))).toBeNull()
})

test('an origin of the list may read, with credentials, also refusals; another may not', async () => {
  for (const query of ['topic=a', 'topic=..']) {
    const headers = await headersFor(listed, known, query)
    expect(allowed(headers)).toBe(known)
    expect(headers.get('access-control-allow-credentials')).toBe('true')
    expect(headers.get('vary')).toMatch(/origin/i)
  }
  for (const origin of ['https://evil.example', `${known}.evil.example`, 'null', 'http://app.example'])
    expect(allowed(await headersFor(listed, origin))).toBeNull()
})

test('with * everybody may read, without credentials', async () => {
  const headers = await headersFor(wide, 'https://anybody.example')
  expect(['*', 'https://anybody.example']).toContain(allowed(headers))
  expect(headers.get('access-control-allow-credentials')).toBeNull()
})

test('a preflight for Authorization and Last-Event-ID is answered', async () => {
  const answer = await fetch(`${listed.url}/v1/events?topic=a`, {
    method: 'OPTIONS',
    headers: {
      origin: known,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization,last-event-id',
    },
  })
  expect(answer.status).toBe(204)
  expect(allowed(answer.headers)).toBe(known)
  expect(answer.headers.get('access-control-allow-methods')).toBe('GET')
  expect(answer.headers.get('access-control-allow-headers')).toMatch(/authorization, *last-event-id/i)
})

test('* together with tokens stops the start', async () => {
  const gateway = await lab.gateway(
    { CORS_ORIGINS: '*', AUTH_MODE: 'jwt', JWT_SECRET: 'x'.repeat(32) },
    { ready: false },
  )
  expect(await gateway.exited).toBe(1)
  expect(gateway.output()).toContain('CORS_ORIGINS=*')
})
