import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isAtLeast } from '../../services/gateway/server-features.ts'
import { LogWriter } from '../support/log-writer.ts'
import { type NatsServer, startNatsServer } from '../support/nats-server.ts'
import { post } from '../support/publish.ts'
import { type Service, startService } from '../support/service.ts'
import { SseClient } from '../support/sse-client.ts'

/** Paths of older nats-servers, comma-separated. CI gets Debian's. */
const named =
  process.env.OLD_NATS_SERVER || join(import.meta.dirname, '../../.tools/old-nats/usr/sbin/nats-server')
const programs = named.split(',').filter((path) => existsSync(path))
if (programs.length === 0)
  console.warn(
    'No older nats-server: its test is skipped. Name the path of one (2.9 to 2.11) in OLD_NATS_SERVER.',
  )

describe.skipIf(programs.length === 0).each(programs.length === 0 ? ['none found'] : programs)(
  'with an older NATS (%s)',
  (program) => {
    let version: string
    let nats: NatsServer
    let publisher: Service
    let gateway: Service
    beforeAll(async () => {
      version = /v?\d+\.\d+\.\d+/.exec((await execa(program, ['--version'])).stdout)?.[0] ?? ''
      nats = await startNatsServer({ program })
      const settings = { NATS_URL: nats.url, RECENT_LOG_BYTES: 65_536, WARM_EVENTS: 0 }
      publisher = await startService('publisher', { NATS_URL: nats.url })
      gateway = await startService('gateway', settings)
    })
    afterAll(async () => {
      await gateway?.kill()
      await publisher?.kill()
      await nats?.stop()
    })

    test('the services start and say what is missing', () => {
      expect(isAtLeast(version, 2, 12)).toBe(false)
      expect(publisher.output()).toContain('no atomic batches: they need NATS 2.12')
      const before210 = !isAtLeast(version, 2, 10)
      expect(publisher.output().includes('no stored epoch (needs NATS 2.10)')).toBe(before210)
      expect(gateway.output().includes('before NATS 2.10')).toBe(before210)
    })

    test('events are published, read live, resumed, and replayed for several topics', async () => {
      const live = await SseClient.connect(gateway.url, { topics: ['a', 'b'] })
      await live.untilFirstBlock()
      expect((await post(publisher.url, [{ topic: 'a', data: 1 }], { query: '?atomic=true' })).status).toBe(
        501,
      )
      const first = await post(publisher.url, { topic: 'a', data: { n: 0 }, id: 'one' })
      const again = await post(publisher.url, { topic: 'a', data: { n: 0 }, id: 'one' })
      expect([first.status, again.json]).toEqual([201, { id: first.json.id, duplicate: true }])
      // Far more than the recent log holds; so few of them for the readers that a filter would pay.
      const writer = await LogWriter.connect(nats.url)
      const published = await writer.numbered(3_000, ['a', 'b', 'c', 'c', 'c', 'c'], 200)
      await writer.close()
      const wanted = published.filter(({ topic }) => topic !== 'c').map(({ n }) => n)
      await live.untilCount(1 + wanted.length)
      expect(live.numbers.slice(1)).toEqual(wanted)
      const lastEventId = String(first.json.id)
      const resumed = await Promise.all(
        [['a', 'b'], ['a'], ['a', 'b']].map((topics) =>
          SseClient.connect(gateway.url, { topics, lastEventId }),
        ),
      )
      const of = (topics: string[]) =>
        published.filter(({ topic }) => topics.includes(topic)).map(({ n }) => n)
      const since = await SseClient.connect(gateway.url, { topics: ['a', 'b'], query: { since: 'all' } })
      for (const client of [...resumed, since]) await client.untilLive()
      expect(resumed.map(({ numbers }) => numbers)).toEqual([of(['a', 'b']), of(['a']), of(['a', 'b'])])
      expect(since.numbers.slice(1)).toEqual(of(['a', 'b']))
      for (const client of [live, since, ...resumed]) {
        expect(client.faults).toEqual([])
        client.close()
      }
      expect(gateway.output()).not.toContain('a replay failed')
    })
  },
)
