import { EventSource as EventSourcePackage } from 'eventsource'
import { execa } from 'execa'
import { EventSource as UndiciEventSource } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Lab } from '../support/lab.ts'
import type { LogWriter } from '../support/log-writer.ts'
import type { Service } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'

let lab: Lab
let gateway: Service
let writer: LogWriter

beforeAll(async () => {
  lab = await Lab.start()
  gateway = await lab.gateway({ HEARTBEAT_INTERVAL_MS: 300 })
  writer = await lab.writer()
})
afterAll(() => lab?.stop())

interface Source {
  onmessage: ((event: { data: string; lastEventId: string }) => void) | null
  addEventListener(type: string, listener: (event: { data: string; lastEventId: string }) => void): void
  readyState: number
  close(): void
}
const clients: [string, (url: string) => Source][] = [
  ['the package eventsource', (url) => new EventSourcePackage(url) as unknown as Source],
  ['undici’s EventSource', (url) => new UndiciEventSource(url) as unknown as Source],
]

/** Starts a gateway on the same ports again. */
const restarted = () =>
  lab.gateway({ PORT: gateway.port, METRICS_PORT: gateway.metricsPort, HEARTBEAT_INTERVAL_MS: 300 })

describe.each(clients)('%s', (_name, open) => {
  test.each(['SIGKILL', 'SIGTERM'])(
    'resumes through a restart of its gateway by %s without loss or duplicate',
    async (signal) => {
      const topic = `native-${Math.random().toString(36).slice(2)}`
      const source = open(`${gateway.url}/v1/events?topic=${topic}`)
      const got: number[] = []
      const positions: string[] = []
      const closings: string[] = []
      source.onmessage = ({ data }) => got.push((JSON.parse(data) as { data: { n: number } }).data.n)
      source.addEventListener('$position', ({ lastEventId }) => positions.push(lastEventId))
      source.addEventListener('$closing', ({ data }) => closings.push(data))
      try {
        await waitUntil(() => positions.length > 0, { what: 'the first block' })
        const publishing = writer.keepPublishing(topic, 5)
        await waitUntil(() => got.length > 20, { what: 'events' })
        if (signal === 'SIGKILL') await gateway.kill()
        else expect(await gateway.term()).toBe(0)
        gateway = await restarted()
        const before = got.length
        await waitUntil(() => got.length > before + 20, { what: 'events after the restart' })
        const published = await publishing.stop()
        await waitUntil(() => got.length >= published.length, { what: 'all events' })
        expect(got).toEqual(published.map(({ n }) => n))
        expect(closings).toEqual(signal === 'SIGTERM' ? ['{"reason":"draining"}'] : [])
      } finally {
        source.close()
      }
    },
  )

  test('that has seen no event resumes from the first block or a heartbeat', async () => {
    const topic = `quiet-${Math.random().toString(36).slice(2)}`
    const source = open(`${gateway.url}/v1/events?topic=${topic}`)
    const got: number[] = []
    const positions: string[] = []
    source.onmessage = ({ data }) => got.push((JSON.parse(data) as { data: { n: number } }).data.n)
    source.addEventListener('$position', ({ lastEventId }) => positions.push(lastEventId))
    try {
      await waitUntil(() => positions.length > 1, { what: 'a heartbeat' })
      expect(positions.every((id) => /^[a-z0-9]+-\d+$/.test(id))).toBe(true)
      await gateway.kill()
      const missed = await writer.numbered(3, topic)
      gateway = await restarted()
      await waitUntil(() => got.length >= 3, { what: 'what was published meanwhile' })
      expect(got).toEqual(missed.map(({ n }) => n))
    } finally {
      source.close()
    }
  })

  test('outlives passing conditions', async () => {
    const full = await lab.gateway({ MAX_CONNECTIONS: 1 })
    const first = await lab.liveClient(full, ['full'])
    const source = open(`${full.url}/v1/events?topic=full`)
    const got: number[] = []
    source.onmessage = ({ data }) => got.push((JSON.parse(data) as { data: { n: number } }).data.n)
    const refused = () => full.metric('sse_connects_refused_total{reason="unavailable"}')
    try {
      await waitUntil(async () => (await refused()) > 3, { what: 'several refusals' })
      expect(source.readyState).not.toBe(2)
      first.close()
      await waitUntil(async () => (await full.metric('sse_connects_total')) === 2, {
        what: 'it to be let in',
      })
      await writer.numbered(1, 'full')
      await waitUntil(() => got.length === 1, { what: 'an event' })
    } finally {
      source.close()
      await full.kill()
    }
  })
})

test('curl -N shows events as they come', async () => {
  const curl = execa('curl', ['-sN', `${gateway.url}/v1/events?topic=curl`], { reject: false, buffer: false })
  let output = ''
  curl.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
  })
  await waitUntil(() => output.includes('event: $position'), { what: 'the first block' })
  for (let n = 1; n <= 3; n++) {
    await writer.publish('curl', { hello: n }, { type: 'greeting' })
    await waitUntil(() => output.includes(`"data":{"hello":${n}}`), { what: `event ${n}` })
  }
  expect(output).toMatch(
    /\nid: [a-z0-9]+-\d+\nevent: greeting\ndata: \{"topic":"curl","time":"[^"]+","data":\{"hello":1\}\}\n\n/,
  )
  curl.kill()
  await curl
})
