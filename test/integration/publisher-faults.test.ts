import { cp, rm } from 'node:fs/promises'
import { AckPolicy, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterEach, expect, test } from 'vitest'
import { parseEventId } from '../../services/contract/event-id.ts'
import { type NatsServer, type NatsServerOptions, startNatsServer } from '../support/nats-server.ts'
import { type PostAnswer, post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function start(env: Record<string, string | number> = {}, options: NatsServerOptions = {}) {
  const nats = await startNatsServer(options)
  cleanUp.push(() => nats.stop())
  const publisher = await startService('publisher', { NATS_URL: nats.url, ...env })
  cleanUp.push(() => publisher.kill())
  return { nats, publisher }
}

async function administer(nats: NatsServer) {
  const connection = await connect({ servers: nats.url })
  cleanUp.push(() => connection.close())
  return await jetstreamManager(connection)
}

const event = (data: unknown = 1) => ({ topic: 'a', data })
const placeOf = (answer: PostAnswer) => {
  const id = parseEventId(String(answer.json.id))
  if (!id) throw new Error(`No id: ${answer.status} ${answer.text}`)
  return id
}
/** Publishes until it is stored, as a client does that obeys Retry-After. */
const persist = (publisher: Service) =>
  waitUntil(
    async () => {
      const answer = await post(publisher.url, event())
      return answer.status === 201 ? answer : undefined
    },
    { what: 'an event to be stored' },
  )

test('while the log does not acknowledge, publishing gets 503 with Retry-After, and 201 when it is back', async () => {
  const { nats, publisher } = await start({ ACK_TIMEOUT_MS: 500 })
  const before = placeOf(await post(publisher.url, event()))
  await nats.kill()
  const answer = await post(publisher.url, event())
  expect(answer.status).toBe(503)
  expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
  expect(answer.json.type).toBe('urn:sse-cluster:problem:unavailable')
  expect((await post(publisher.url, [event(), event()])).status).toBe(503)
  expect((await post(publisher.url, [event()], { query: '?atomic=true' })).status).toBe(503)
  await waitUntil(async () => !(await publisher.isReady()), { what: 'readiness to drop' })
  expect((await fetch(`${publisher.operationsUrl}/livez`)).status).toBe(200)
  expect(await publisher.metric('sse_publishes_total{outcome="failed"}')).toBe(4)
  await nats.restart()
  const after = placeOf(await persist(publisher))
  expect(after.epoch).toBe(before.epoch)
  expect(after.sequence).toBeGreaterThan(before.sequence)
})

test('an acknowledgement that never comes is never a 201', async () => {
  const { nats, publisher } = await start({ ACK_TIMEOUT_MS: 400 })
  const administration = await administer(nats)
  // A stream without acknowledgements stores and says nothing.
  await administration.streams.update('EVENTS', { no_ack: true })
  const answer = await post(publisher.url, { ...event(), id: 'silent' })
  expect(answer.status).toBe(503)
  await administration.streams.update('EVENTS', { no_ack: false })
  expect((await post(publisher.url, { ...event(), id: 'silent' })).json.duplicate).toBe(true)
})

test('nothing that was acknowledged is lost when nats-server is killed, and nothing is stored twice', async () => {
  const { nats, publisher } = await start({ ACK_TIMEOUT_MS: 1000 })
  let stopped = false
  let published = 0
  const acknowledged: string[] = []
  const writer = async () => {
    while (!stopped) {
      const id = `kill-${published++}`
      await waitUntil(async () => (await post(publisher.url, { ...event(id), id })).status === 201, {
        what: id,
      })
      acknowledged.push(id)
    }
  }
  const writers = [writer(), writer(), writer()]
  const more = (count: number) =>
    waitUntil(() => acknowledged.length >= count, { what: `${count} acknowledgements` })
  await more(100)
  await nats.kill()
  await nats.restart()
  await more(acknowledged.length + 100)
  stopped = true
  await Promise.all(writers)
  const log = await readLog(nats)
  expect(log.length).toBe(new Set(log).size)
  expect(new Set(log)).toEqual(new Set(acknowledged))
})

test('a stream that was deleted is created anew, and ids tell the two logs apart', async () => {
  const { nats, publisher } = await start()
  const before = placeOf(await post(publisher.url, [event(), event()].pop()))
  const administration = await administer(nats)
  await administration.streams.delete('EVENTS')
  const after = placeOf(await persist(publisher))
  expect(after.epoch).not.toBe(before.epoch)
  expect((await administration.streams.info('EVENTS')).config.metadata?.['sse-epoch']).toBe(after.epoch)
})

test('a stream that another one recreated gives ids of its own epoch', async () => {
  const { nats, publisher } = await start()
  for (let n = 0; n < 5; n++) await post(publisher.url, event())
  const administration = await administer(nats)
  const { config } = await administration.streams.info('EVENTS')
  // The publisher creates it too as soon as it is gone; here the other one is to be quicker.
  await waitUntil(
    async () => {
      await administration.streams.delete('EVENTS')
      return await administration.streams.add({ ...config, metadata: { 'sse-epoch': 'other' } })
    },
    { what: 'the stream to be recreated', intervalMs: 0 },
  )
  expect(placeOf(await persist(publisher)).epoch).toBe('other')
})

test('a log that was rolled back gets a new epoch, so that no id is given twice', async () => {
  const { nats, publisher } = await start({ ACK_TIMEOUT_MS: 1000 })
  const backup = `${nats.storeDir}.backup`
  await post(publisher.url, [1, 2].map(event))
  await nats.kill()
  await cp(nats.storeDir, backup, { recursive: true })
  await nats.restart()
  await persist(publisher)
  await post(publisher.url, [1, 2, 3].map(event))
  const before = placeOf(await post(publisher.url, event()))
  expect(before.sequence).toBeGreaterThanOrEqual(7)
  await nats.kill()
  await rm(nats.storeDir, { recursive: true })
  await cp(backup, nats.storeDir, { recursive: true })
  await nats.restart()
  await waitUntil(() => publisher.isReady(), { what: 'readiness' })
  const after = placeOf(await persist(publisher))
  expect(after.sequence).toBeLessThan(before.sequence)
  expect(after.epoch).not.toBe(before.epoch)
  expect(placeOf(await persist(publisher)).epoch).toBe(after.epoch)
})

test('stored events get their answers on SIGTERM, then the process ends with 0', async () => {
  const { nats, publisher } = await start()
  const batches = Promise.allSettled(
    Array.from({ length: 20 }, () =>
      post(
        publisher.url,
        Array.from({ length: 500 }, (_, n) => event(n)),
      ),
    ),
  )
  await waitUntil(async () => (await publisher.metric('sse_publishes_total{outcome="stored"}')) > 0, {
    what: 'the first event',
  })
  const code = await publisher.term()
  expect(code).toBe(0)
  // A connection that was not yet accepted is refused, and has stored nothing.
  const stored = (await batches).flatMap((answer) =>
    answer.status === 'fulfilled' ? answer.value.lines : [],
  )
  expect(stored.filter((line) => line.error)).toEqual([])
  expect(await readLog(nats)).toHaveLength(stored.length)
  expect(stored.length).toBeGreaterThan(0)
})

test('starts before nats-server: live, not ready, 503; then ready', async () => {
  const nats = await startNatsServer()
  cleanUp.push(() => nats.stop())
  await nats.kill()
  const publisher = await startService('publisher', { NATS_URL: nats.url }, { ready: false })
  cleanUp.push(() => publisher.kill())
  await waitUntil(async () => (await fetch(`${publisher.operationsUrl}/livez`)).ok, { what: 'liveness' })
  expect(await publisher.isReady()).toBe(false)
  await waitUntil(async () => (await post(publisher.url, event())).status === 503, { what: '503' })
  await nats.restart()
  await waitUntil(() => publisher.isReady(), { what: 'readiness' })
  expect((await post(publisher.url, event())).status).toBe(201)
})

test('a port that is taken stops the start and is named', async () => {
  const { nats, publisher } = await start()
  const second = await startService(
    'publisher',
    { NATS_URL: nats.url, PORT: publisher.port },
    { ready: false },
  )
  expect(await second.exited).toBe(1)
  expect(second.output()).toContain(String(publisher.port))
})

test('an existing stream that differs is named, and changed only with STREAM_UPDATE', async () => {
  const { nats, publisher } = await start({ STREAM_MAX_AGE_MS: 3_600_000 })
  await publisher.term()
  const administration = await administer(nats)
  const maxAge = async () => (await administration.streams.info('EVENTS')).config.max_age / 1_000_000
  const second = await startService('publisher', { NATS_URL: nats.url, STREAM_MAX_AGE_MS: 60_000_000 })
  expect(await maxAge()).toBe(3_600_000)
  expect(second.logLines()).toContainEqual(
    expect.objectContaining({ differences: [expect.objectContaining({ name: 'max_age' })] }),
  )
  await second.term()
  const third = await startService('publisher', {
    NATS_URL: nats.url,
    STREAM_MAX_AGE_MS: 60_000_000,
    STREAM_UPDATE: 'true',
  })
  expect(await maxAge()).toBe(60_000_000)
  await third.term()
})

test('a stream without allow_atomic says so, and stores everything else', async () => {
  const nats = await startNatsServer()
  cleanUp.push(() => nats.stop())
  const administration = await administer(nats)
  await administration.streams.add({ name: 'EVENTS', subjects: ['events.>'] })
  const publisher = await startService('publisher', { NATS_URL: nats.url })
  cleanUp.push(() => publisher.kill())
  const answer = await post(publisher.url, [event()], { query: '?atomic=true' })
  expect(answer.status).toBe(501)
  expect(answer.json.detail).toContain('2.12')
  expect((await post(publisher.url, event())).status).toBe(201)
})

test('an event larger than NATS’s max_payload gets 413 and does not cut the connection', async () => {
  const { publisher } = await start({}, { config: 'max_payload: 20KB' })
  const large = event('x'.repeat(25_000))
  expect((await post(publisher.url, large)).status).toBe(413)
  expect((await post(publisher.url, [large, event()])).lines).toMatchObject([
    { error: { status: 413 } },
    { duplicate: false },
  ])
})

test('bodies held at once are bounded', async () => {
  const { publisher } = await start({ MAX_BODIES_BYTES: 1_048_576, MAX_BODY_BYTES: 1_000_000 })
  const body = `{"topic":"a","data":"${'x'.repeat(100_000)}"}\n`.repeat(7)
  const headers = { 'content-type': 'application/x-ndjson' }
  const statuses = await Promise.all(
    Array.from({ length: 8 }, async () => (await post(publisher.url, body, { headers })).status),
  )
  expect(new Set(statuses)).toEqual(new Set([200, 503]))
  expect((await post(publisher.url, body, { headers })).status).toBe(200)
})

/** Payloads of all events that the log holds, in order. */
async function readLog(nats: NatsServer): Promise<unknown[]> {
  const administration = await administer(nats)
  const { messages } = (await administration.streams.info('EVENTS')).state
  const { name } = await administration.consumers.add('EVENTS', { ack_policy: AckPolicy.None })
  const consumer = await administration.jetstream().consumers.get('EVENTS', name)
  const payloads: unknown[] = []
  while (payloads.length < messages) {
    for await (const message of await consumer.fetch({ max_messages: messages - payloads.length }))
      payloads.push(message.json())
  }
  return payloads
}
