import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterEach, expect, test } from 'vitest'
import { startNatsServer } from '../support/nats-server.ts'
import { post } from '../support/publish.ts'
import { startService } from '../support/service.ts'

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

const event = (n: number) => ({ topic: 'a', data: n })

test.each([
  ['nothing', ''],
  ['what is no JSON', 'thanks!'],
  ['JSON that says nothing', '{}'],
  ['another stream’s acknowledgement', '{"stream":"OTHER","seq":7}'],
])('a NATS client that answers publishes with %s is not taken for the log', async (_, answer) => {
  const nats = await startNatsServer()
  cleanUp.push(() => nats.stop())
  const publisher = await startService('publisher', { NATS_URL: nats.url, ACK_TIMEOUT_MS: 1_000 })
  cleanUp.push(() => publisher.kill())
  const stranger = await connect({ servers: nats.url })
  cleanUp.push(() => stranger.close())
  let answered = 0
  stranger.subscribe('events.>', {
    callback: (_error, message) => {
      if (message.respond(answer)) answered++
    },
  })
  await stranger.flush()
  const sequenceOf = (id: unknown) => Number(String(id).split('-')[1])
  for (let n = 1; n <= 5; n++) {
    const { status, json } = await post(publisher.url, event(n))
    expect([status, sequenceOf(json.id)]).toEqual([201, n])
  }
  const batch = await post(publisher.url, [event(6), event(7), event(8)], { query: '?atomic=true' })
  expect(batch.lines.map(({ id }) => sequenceOf(id))).toEqual([6, 7, 8])
  // Now nobody but the stranger answers.
  await (await jetstreamManager(stranger)).streams.update('EVENTS', { no_ack: true })
  expect((await post(publisher.url, event(9))).status).toBe(503)
  expect(answered).toBeGreaterThanOrEqual(6)
})
