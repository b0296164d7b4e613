import { createServer, type ServerResponse } from 'node:http'
import { connect as dial, type Socket } from 'node:net'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterEach, expect, test } from 'vitest'
import { startNatsServer } from '../support/nats-server.ts'
import { freePort } from '../support/ports.ts'
import { post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { newKeyPair, signToken } from '../support/tokens.ts'
import { waitUntil } from '../support/wait.ts'

const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

/** Room for four of the bodies below. */
const room = { MAX_BODIES_BYTES: 1_048_576 }
const body = JSON.stringify({ topic: 'a', data: 'x'.repeat(250_000) })

async function start(env: Record<string, string | number>) {
  const nats = await startNatsServer()
  cleanUp.push(() => nats.stop())
  const publisher = await startService('publisher', { NATS_URL: nats.url, ...room, ...env })
  cleanUp.push(() => publisher.kill())
  return { nats, publisher }
}

/** Sends the head of a publish and, when the publisher has room for it, the first `bytes` of its body. */
async function begin(publisher: Service, bytes: number, token?: string): Promise<Socket> {
  const socket = dial(publisher.port, '127.0.0.1')
  socket.on('error', () => undefined)
  cleanUp.push(() => socket.destroy())
  socket.write(
    'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n' +
      `${token ? `Authorization: Bearer ${token}\r\n` : ''}Content-Length: ${body.length}\r\n\r\n`,
  )
  await new Promise((resolve) => socket.once('data', resolve))
  await new Promise<void>((resolve) => socket.write(body.slice(0, bytes), () => resolve()))
  return socket
}

const stored = (publisher: Service, token?: string) =>
  waitUntil(
    async () => {
      const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
      return (await post(publisher.url, body, { headers })).status === 201
    },
    { what: 'room for a body', timeoutMs: 10_000 },
  )

const expectFull = async (publisher: Service) =>
  expect((await post(publisher.url, body)).text).toContain('Too much is being published')

test('clients that go in the middle of their bodies give their room back', async () => {
  const { publisher } = await start({})
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(Array.from({ length: 4 }, () => begin(publisher, 100_000)))
    await expectFull(publisher)
    for (const client of clients) client.destroy()
    await stored(publisher)
  }
})

test('clients that go before their answers give their room back', async () => {
  const { nats, publisher } = await start({ ACK_TIMEOUT_MS: 5_000 })
  const connection = await connect({ servers: nats.url })
  cleanUp.push(() => connection.close())
  const { streams } = await jetstreamManager(connection)
  for (let round = 0; round < 5; round++) {
    // A stream without acknowledgements stores, and never answers.
    await streams.update('EVENTS', { no_ack: true })
    const clients = await Promise.all(Array.from({ length: 4 }, () => begin(publisher, body.length)))
    await expectFull(publisher)
    for (const client of clients) client.destroy()
    await streams.update('EVENTS', { no_ack: false })
    await stored(publisher)
  }
})

test('clients that go while their tokens are being checked give their room back', async () => {
  const keys = await newKeyPair('one')
  const waiting: ServerResponse[] = []
  const issuer = createServer((_, response) => waiting.push(response))
  const port = await freePort()
  await new Promise<void>((resolve) => issuer.listen(port, '127.0.0.1', resolve))
  cleanUp.push(() => issuer.close())
  const { publisher } = await start({ AUTH_MODE: 'jwt', JWT_JWKS_URL: `http://127.0.0.1:${port}/keys` })
  const token = await signToken(keys.privateKey, { publish: ['a'], keyId: 'one' })
  const clients = await Promise.all(Array.from({ length: 4 }, () => begin(publisher, body.length, token)))
  await expectFull(publisher)
  for (const client of clients) client.destroy()
  const answer = () => {
    for (const response of waiting.splice(0)) response.end(JSON.stringify({ keys: [keys.jwk] }))
  }
  await waitUntil(() => waiting.length > 0, { what: 'the keys to be asked for' })
  answer()
  issuer.on('request', answer)
  await stored(publisher, token)
})
