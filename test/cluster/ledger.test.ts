import { afterAll, beforeAll, expect, test } from 'vitest'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { type Nginx, startNginx } from '../support/nginx.ts'
import { post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { Swarm } from '../support/swarm.ts'
import { waitUntil } from '../support/wait.ts'

const clients = 2_000
const eventsPerSecond = 50

let nats: NatsServer
let publisher: Service
let gateways: Service[]
let nginx: Nginx
let swarm: Swarm

const startGateway = (port?: number) =>
  startService('gateway', {
    NATS_URL: nats.url,
    RETRY_MIN_MS: 50,
    RETRY_MAX_MS: 500,
    DRAIN_WINDOW_MS: 2_000,
    ...(port ? { PORT: port } : {}),
  })

beforeAll(async () => {
  nats = await startNatsServer()
  publisher = await startService('publisher', { NATS_URL: nats.url })
  gateways = [await startGateway(), await startGateway()]
  nginx = await startNginx({
    gateways: gateways.map((gateway) => gateway.port),
    publishers: [publisher.port],
  })
  swarm = new Swarm(nginx.port, 'ledger.%3E', clients)
  await swarm.open()
})

afterAll(async () => {
  swarm?.close()
  await nginx?.stop()
  await Promise.all([...(gateways ?? []), ...(publisher ? [publisher] : [])].map((service) => service.kill()))
  await nats?.stop()
})

/** Publishes n = 1, 2, 3, … at a steady rate through Nginx; what is not acknowledged is sent again. */
function publishSteadily() {
  let n = 0
  let running = true
  const done = (async () => {
    const begun = performance.now()
    while (running) {
      const next = n + 1
      const event = { topic: `ledger.${next % 7}`, id: `ledger-${next}`, data: { n: next } }
      // A reload may cut a kept-alive connection: the id makes it safe to publish again.
      const answer = await post(nginx.url, event).catch(() => undefined)
      if (answer?.status !== 201) continue
      n = next
      const dueMs = (n * 1000) / eventsPerSecond - (performance.now() - begun)
      if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs))
    }
  })()
  return {
    /** Waits until `count` more events have been published. */
    more: (count: number) => {
      const target = n + count
      return waitUntil(() => n >= target, { what: `${count} more events`, timeoutMs: 60_000 })
    },
    stop: async () => {
      running = false
      await done
      return n
    },
  }
}

async function consumersOnServer(): Promise<number> {
  const state = (await (await fetch(`${nats.monitorUrl}/jsz?consumers=1`)).json()) as { consumers: number }
  return state.consumers
}

test('a pod has one JetStream consumer, however many clients it serves', async () => {
  const open = await Promise.all(gateways.map((gateway) => gateway.metric('sse_connections{state="live"}')))
  expect(open.reduce((a, b) => a + b)).toBe(clients)
  // Nginx sends each stream to the gateway with the fewest.
  for (const count of open) expect(count).toBeGreaterThan(clients / 4)
  expect(await consumersOnServer()).toBe(gateways.length)
})

test('2,000 clients lose nothing and see nothing twice while pods are killed, drained and Nginx is reloaded', async () => {
  const publishing = publishSteadily()
  await publishing.more(50)

  const [first, second] = gateways as [Service, Service]
  await first.kill()
  await publishing.more(50)
  gateways[0] = await startGateway(first.port)
  await swarm.untilOpen()
  await publishing.more(50)

  const exitCode = await second.term()
  expect(exitCode).toBe(0)
  await publishing.more(50)
  gateways[1] = await startGateway(second.port)
  await swarm.untilOpen()

  await nginx.reload()
  await publishing.more(100)

  const published = await publishing.stop()
  await swarm.untilAll(published)
  const ledger = swarm.ledger()
  console.log(`ledger: ${JSON.stringify(ledger)}`)
  expect(ledger).toMatchObject({ lost: 0, duplicated: 0, gaps: 0, lowest: published, highest: published })
  // Both the kill and the drain moved clients, so this was a test of resuming.
  expect(ledger.reconnects).toBeGreaterThanOrEqual(clients)
  await waitUntil(async () => (await consumersOnServer()) === gateways.length, {
    what: 'one consumer per gateway again',
    timeoutMs: 60_000,
  })
})
