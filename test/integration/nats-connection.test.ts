import { afterEach, expect, test } from 'vitest'
import { LogWriter } from '../support/log-writer.ts'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { type Service, startService } from '../support/service.ts'
import { SseClient } from '../support/sse-client.ts'
import { waitUntil } from '../support/wait.ts'

const servers: NatsServer[] = []
const services: Service[] = []

afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.kill()))
  for (const server of servers.splice(0).reverse()) await server.stop()
})

/** A server that knows the gateway’s user by this password, and everybody else without one. */
async function serverWith(password: string, like?: NatsServer): Promise<NatsServer> {
  const users = `[{ user: gateway, password: "${password}" }, { user: others, password: x }]`
  const server = await startNatsServer({
    config: `authorization { users: ${users} }\nno_auth_user: others`,
    ...(like ? { port: like.port, storeDir: like.storeDir } : {}),
  })
  servers.push(server)
  return server
}

const gatewayFor = async (nats: NatsServer, options: { ready?: boolean } = {}) => {
  const env = { NATS_URL: nats.url, NATS_USER: 'gateway', NATS_PASSWORD: 'right', DRAIN_WINDOW_MS: 0 }
  const gateway = await startService('gateway', env, options)
  services.push(gateway)
  return gateway
}
const refusals = (gateway: Service) =>
  gateway.logLines().filter((line) => /authorization/i.test(String(line.error))).length

test('a gateway that NATS refuses for a while comes back by itself, and its streams go on', async () => {
  const nats = await serverWith('right')
  const gateway = await gatewayFor(nats)
  const client = await SseClient.connect(gateway.url, { topics: ['a'] })
  await client.untilFirstBlock()
  await nats.kill()
  const refusing = await serverWith('wrong', nats)
  await waitUntil(() => refusals(gateway) >= 4, { what: 'the gateway to be refused several times' })
  await refusing.kill()
  await nats.restart()
  const writer = await LogWriter.connect(nats.url)
  await writer.numbered(3, 'a')
  await client.untilCount(3)
  expect(client.faults).toEqual([])
  client.close()
  await writer.close()
})

test('a gateway that NATS refuses from the start says why, and begins when it is let in', async () => {
  const nats = await serverWith('wrong')
  const gateway = await gatewayFor(nats, { ready: false })
  await waitUntil(() => refusals(gateway) > 0, { what: 'the gateway to say that it is refused' })
  expect(await gateway.isReady()).toBe(false)
  await nats.kill()
  await serverWith('right', nats)
  await waitUntil(() => gateway.isReady(), { what: 'the gateway to be ready' })
})
