import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LogWriter } from '../support/log-writer.ts'
import { type NatsCluster, startNatsCluster, whyNoNatsCluster } from '../support/nats-cluster.ts'
import { type Service, startService } from '../support/service.ts'
import { SseClient } from '../support/sse-client.ts'

const why = await whyNoNatsCluster()
if (why) console.warn(`replicated-log.test.ts is skipped: ${why}`)

describe.skipIf(why)('a log on three servers', () => {
  let cluster: NatsCluster
  let gateway: Service
  let publisher: Service
  let writer: LogWriter

  beforeAll(async () => {
    cluster = await startNatsCluster()
    const settings = { NATS_URL: cluster.url, STREAM_REPLICAS: 3, DRAIN_WINDOW_MS: 0 }
    const options = { timeoutMs: 60_000 }
    ;[publisher, gateway] = await Promise.all([
      startService('publisher', settings, options),
      // Some replays go to the stream: they may meet a server whose copy is behind.
      startService('gateway', { ...settings, RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 100 }, options),
    ])
    writer = await LogWriter.connect(cluster.url)
  }, 120_000)
  afterAll(async () => {
    await writer?.close()
    await Promise.all([gateway?.kill(), publisher?.kill()])
    await cluster?.stop()
  })

  const info = () => writer.manager.streams.info('EVENTS')
  const leader = async () => {
    const name = (await info()).cluster?.leader
    return cluster.members.find((member) => member.name === name)
  }
  /** Publishes while `trouble` goes on, then checks that a client missed nothing and was told of no gap. */
  async function nothingLost(topic: string, trouble: () => Promise<void>): Promise<void> {
    const epoch = (await info()).config.metadata?.['sse-epoch']
    const live = await SseClient.connect(gateway.url, { topics: [topic] })
    await live.untilFirstBlock()
    const publishing = writer.keepPublishing(topic, 1)
    await live.untilCount(50)
    await trouble()
    const published = (await publishing.stop()).map(({ sequence }) => sequence)
    const last = Math.max(...published)
    await live.untilEvent(({ sequence }) => sequence === last, 30_000)
    const replayed = await SseClient.connect(gateway.url, { topics: [topic], query: { since: 'all' } })
    await replayed.untilEvent(({ sequence }) => sequence === last, 30_000)
    for (const client of [live, replayed]) {
      // The log may hold events whose acknowledgement was lost with their server.
      expect(published.filter((sequence) => !client.sequences.includes(sequence))).toEqual([])
      expect(client.faults).toEqual([])
      expect(client.control('$gap')).toBeUndefined()
      client.close()
    }
    expect((await info()).config.metadata?.['sse-epoch']).toBe(epoch)
  }

  test('its leader is killed under publishing, again and again: nobody is told of a gap, nothing is lost', async () => {
    await nothingLost('leader', async () => {
      for (let round = 0; round < 3; round++) {
        const killed = await leader()
        await killed?.kill()
        await writer.untilBack()
        killed?.start()
        await cluster.untilHealthy()
      }
    })
  })

  test('two of them go away under publishing and come back: the one that is left, without a leader, is not taken for a rollback', async () => {
    await nothingLost('majority', async () => {
      const first = await leader()
      const second = cluster.members.find((member) => member !== first)
      await Promise.all([first?.kill(), second?.kill()])
      first?.start()
      second?.start()
      await cluster.untilHealthy()
      await writer.untilBack()
    })
  })
})
