import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { documentedMetrics, exportedMetrics } from '../support/metrics-page.ts'
import { type NatsCluster, startNatsCluster, whyNoNatsCluster } from '../support/nats-cluster.ts'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

// What the publisher tells of the log, of its replicas and of NATS, against real servers. It reads every 5 s.

async function untilMetric(publisher: Service, series: string, holds: (value: number) => boolean) {
  let value = Number.NaN
  await waitUntil(
    async () => {
      value = await publisher.metric(series)
      return holds(value)
    },
    {
      timeoutMs: 45_000,
      get what() {
        return `${series} (${value}) to change`
      },
    },
  )
}

describe('one server', () => {
  let nats: NatsServer
  let publisher: Service

  beforeAll(async () => {
    nats = await startNatsServer()
    publisher = await startService('publisher', { NATS_URL: nats.url, STREAM_MAX_BYTES: 1_000_000 })
  })
  afterAll(async () => {
    await publisher?.kill()
    await nats?.stop()
  })

  test('every documented metric of the publisher is exported, and no other', async () => {
    expect(await exportedMetrics(publisher.operationsUrl)).toEqual(documentedMetrics('Publisher'))
  })

  test('the log’s numbers follow what is published and purged', async () => {
    for (let n = 1; n <= 20; n++) await post(publisher.url, { topic: 'a', data: { n } })
    await untilMetric(publisher, 'sse_log_messages', (value) => value === 20)
    const read = (name: string) => publisher.metric(name)
    expect(await read('sse_log_first_sequence')).toBe(1)
    expect(await read('sse_log_last_sequence')).toBe(20)
    expect(await read('sse_log_bytes')).toBeGreaterThan(20 * 8)
    expect(await read('sse_log_bytes_limit')).toBe(1_000_000)
    expect(await read('sse_log_age_seconds')).toBeGreaterThan(0)
    expect(await read('sse_log_leader')).toBe(1)
    expect(await read('sse_log_replicas')).toBe(1)
    expect(await read('sse_log_replicas_current')).toBe(1)
    expect(await read('sse_log_consumers')).toBe(0)
    expect(await read('sse_nats_connected')).toBe(1)
    expect(await read('sse_nats_streams')).toBe(1)
    expect(await read('sse_nats_storage_bytes')).toBeGreaterThan(0)
    expect(await read('sse_log_read_failures_total')).toBe(0)

    const connection = await connect({ servers: nats.url })
    const manager = await jetstreamManager(connection)
    await manager.streams.purge('EVENTS', { seq: 11 })
    await manager.consumers.add('EVENTS', { name: 'one' })
    await connection.close()
    await untilMetric(publisher, 'sse_log_first_sequence', (value) => value === 11)
    expect(await read('sse_log_messages')).toBe(10)
    await untilMetric(publisher, 'sse_log_consumers', (value) => value === 1)
    await untilMetric(publisher, 'sse_nats_consumers', (value) => value === 1)
  })

  test('while NATS is away the numbers are none, not old ones', async () => {
    await nats.kill()
    await untilMetric(publisher, 'sse_nats_connected', (value) => value === 0)
    await untilMetric(publisher, 'sse_log_read_failures_total', (value) => value > 0)
    expect(await publisher.metric('sse_log_last_sequence')).toBeNaN()
    expect(await publisher.metric('sse_log_leader')).toBe(0)
    await nats.restart()
    await untilMetric(publisher, 'sse_log_last_sequence', (value) => value === 20)
    expect(await publisher.metric('sse_nats_connected')).toBe(1)
  })
})

const obstacle = await whyNoNatsCluster()
if (obstacle) console.log(`log-metrics.test.ts: replicas are not tested here: ${obstacle}`)

describe.skipIf(obstacle)('three servers', () => {
  let cluster: NatsCluster
  let publisher: Service

  beforeAll(async () => {
    cluster = await startNatsCluster()
    publisher = await startService(
      'publisher',
      { NATS_URL: cluster.url, STREAM_REPLICAS: 3 },
      { timeoutMs: 60_000 },
    )
  }, 120_000)
  afterAll(async () => {
    await publisher?.kill()
    await cluster?.stop()
  })

  test('a lost server is seen as a copy less, a lost majority as a log without a leader', async () => {
    await post(publisher.url, { topic: 'a', data: 1 })
    await untilMetric(publisher, 'sse_log_replicas_current', (value) => value === 3)
    expect(await publisher.metric('sse_log_replicas')).toBe(3)
    for (const { name } of cluster.members)
      expect(await publisher.metric(`sse_log_replica_current{server="${name}"}`)).toBe(1)

    const [first, second] = cluster.members
    await first?.kill()
    await untilMetric(publisher, 'sse_log_replicas_current', (value) => value === 2)
    expect(await publisher.metric('sse_log_replica_current{server="n1"}')).toBe(0)
    expect(await publisher.metric('sse_log_leader')).toBe(1)

    await second?.kill()
    await untilMetric(publisher, 'sse_log_leader', (value) => value === 0)
    await untilMetric(publisher, 'sse_log_read_failures_total', (value) => value > 0)

    first?.start()
    second?.start()
    await cluster.untilHealthy()
    await untilMetric(publisher, 'sse_log_replicas_current', (value) => value === 3)
    expect(await publisher.metric('sse_log_leader')).toBe(1)
  }, 180_000)
})
