import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { haveBrowser, launchBrowser } from '../support/browser.ts'
import { LogWriter } from '../support/log-writer.ts'
import { post } from '../support/publish.ts'
import { SteadyPublisher } from '../support/steady-publisher.ts'
import { type Reader, readInNode, readInPage, type StreamRecord } from '../support/stream-record.ts'
import { waitUntil } from '../support/wait.ts'
import { WebCluster } from '../support/web-cluster.ts'

const outageMs = 10_000
/** Nginx lets clients wait up to 15.9 s after an outage. */
const afterOutageMs = 40_000
const eventsPerSecond = 20

let cluster: WebCluster
let browser: Browser
const open: { close(): Promise<void> }[] = []

// The one from npm needs no browser.
const inChromium = haveBrowser()

describe(`a stock EventSource, ${inChromium ? 'in Chromium and from npm' : 'from npm'}`, () => {
  beforeAll(async () => {
    cluster = await WebCluster.start({ gatewaySettings: { HEARTBEAT_INTERVAL_MS: 300 } })
    if (inChromium) browser = await launchBrowser()
  })

  afterEach(async () => {
    for (const reader of open.splice(0)) await reader.close()
  })

  afterAll(async () => {
    await browser?.close()
    await cluster?.stop()
  })

  test('lives through all upstreams being down for 10 seconds', async () => {
    const readers = await readersOf('outage')
    const publishing = await publish('outage')
    await Promise.all([cluster.killGateway(0), cluster.killGateway(1)])
    const before = publishing.last
    const answer = await fetch(`${cluster.url}/v1/events?topic=outage.*`, {
      headers: { accept: 'text/event-stream' },
    })
    expect(answer.status).toBe(200)
    expect(await answer.text()).toMatch(/^retry: \d+\n\n$/)
    // The length of the outage is what is promised.
    await sleep(outageMs)
    expect(publishing.last).toBeGreaterThan(before)
    await Promise.all([cluster.startGateway(0), cluster.startGateway(1)])
    const records = await untilComplete(readers, publishing)
    // The first stream, at least one of Nginx's own answers, and the one that goes on.
    for (const { opens } of records) expect(opens).toBeGreaterThanOrEqual(3)
  })

  test('misses nothing while nats-server is killed and restarted', async () => {
    const readers = await readersOf('nats')
    const publishing = await publish('nats')
    await cluster.nats.kill()
    await waitUntil(
      async () => (await post(cluster.publisher.url, { topic: 'other', data: 1 })).status === 503,
      {
        what: 'the publisher to say that the log is away',
      },
    )
    await cluster.nats.restart()
    await publishing.more(eventsPerSecond)
    await untilComplete(readers, publishing)
  })

  test('comes back after Nginx was stopped and started', async () => {
    const readers = await readersOf('nginx')
    const publishing = await publish('nginx')
    await cluster.nginx.stop()
    // The cut, and then at least two refused connections.
    await until(readers, 'to have been refused', ({ errors }) => errors >= 3)
    await publishing.more(eventsPerSecond)
    await cluster.startNginx()
    await untilComplete(readers, publishing)
  })

  test('is not even cut by a reload of Nginx, and moves to the new workers when it is', async () => {
    const readers = await readersOf('reload')
    const publishing = await publish('reload')
    await cluster.nginx.reload()
    await publishing.more(eventsPerSecond)
    const last = publishing.last
    await until(readers, `to have event ${last}`, ({ numbers }) => numbers.length >= last)
    for (const { errors } of await recordsOf(readers)) expect(errors).toBe(0)
    await restartGateways()
    for (const { errors } of await untilComplete(readers, publishing)) expect(errors).toBeGreaterThan(0)
  })

  test.skipIf(!inChromium)(
    'ten of them in one page, over HTTP/2, resume on the other pod when theirs is killed',
    async () => {
      const page = await visit(cluster.tlsUrl)
      expect(await page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")).toBe('h2')
      const reader = await readInPage(page, Array<string>(10).fill(pathOf('ten')), ['$position'])
      await until([reader], 'to be open', isOpen)
      await waitUntil(async () => (await cluster.liveStreams()).every((count) => count >= 3), {
        what: 'the streams to be spread over both gateways',
      })
      const publishing = await publish('ten')
      await cluster.killGateway(0)
      await cluster.untilServing(1, 10)
      await publishing.more(eventsPerSecond)
      await cluster.startGateway(0)
      await cluster.killGateway(1)
      await cluster.untilServing(0, 10)
      const records = await untilComplete([reader], publishing)
      await cluster.startGateway(1)
      expect(records).toHaveLength(10)
      for (const { errors } of records) expect(errors).toBeGreaterThan(0)
    },
  )

  test('a quiet page moves on with the heartbeats, unseen by onmessage, and resumes from there', async () => {
    const readers = await readersOf('quiet', [])
    // One on each pod, past Nginx, since a reader without a listener for `$position` can't tell.
    const witnesses = cluster.gateways.map(({ url }) => readInNode(url + pathOf('quiet'), ['$position']))
    open.push(...witnesses)
    await until(witnesses, 'to be open', isOpen)
    const stored = await post(cluster.publisher.url, { topic: 'busy.0', data: {} })
    const position = String(stored.json.id)
    // When the second heartbeat comes, the first has reached everybody.
    await until(
      witnesses,
      `to be at ${position}`,
      ({ named }) => named.filter(({ id }) => id === position).length >= 2,
    )
    await restartGateways()
    await until(readers, 'to be open again', ({ opens }) => opens >= 2)
    await post(cluster.publisher.url, { topic: 'quiet.0', data: { n: 1 } })
    await until(readers, 'to have the event', ({ numbers }) => numbers.length > 0)
    for (const record of await recordsOf(readers)) {
      expect(record).toMatchObject({ numbers: [1], closed: false, named: [] })
    }
    // A request is in the log when it has ended.
    for (const reader of open.splice(0)) await reader.close()
    const resumed = () => cluster.nginx.accessLog().filter((entry) => entry.position === position)
    await waitUntil(() => new Set(resumed().map(({ userAgent }) => userAgent)).size === readers.length, {
      what: `both kinds to have asked from ${position} on`,
    })
  })

  test('is told of a gap when the log was made anew', async () => {
    const readers = await readersOf('gap', ['$position', '$gap'])
    const before = await post(cluster.publisher.url, { topic: 'gap.0', data: { n: 1 } })
    await until(readers, 'to have the event', ({ numbers }) => numbers.length === 1)
    // While nobody makes it anew: nats-server (2.15.2) breaks a stream that is created while its namesake goes.
    await cluster.publisher.kill()
    const writer = await LogWriter.connect(cluster.nats.url)
    open.push(writer)
    await writer.manager.streams.delete('EVENTS')
    await cluster.startPublisher()
    const after = await post(cluster.publisher.url, { topic: 'gap.0', data: { n: 2 } })
    expect(after.status).toBe(201)
    const gapsOf = ({ named }: StreamRecord) => named.filter(({ type }) => type === '$gap')
    await until(readers, 'to have the new log’s event', ({ numbers }) => numbers.length === 2)
    const [oldEpoch, newEpoch] = [before, after].map(({ json }) => String(json.id).split('-')[0])
    expect(newEpoch).not.toBe(oldEpoch)
    for (const record of await recordsOf(readers)) {
      expect(record.numbers).toEqual([1, 2])
      expect(record.closed).toBe(false)
      expect(record.lastEventId).toBe(after.json.id)
      expect(gapsOf(record).map(({ data }) => data)).toEqual([
        {
          requested: expect.stringMatching(`^${oldEpoch}-\\d+$`),
          resumedAt: expect.stringMatching(`^${newEpoch}-\\d+$`),
          reason: 'reset',
        },
      ])
    }
  })
})

/** Chromium where it is, and the npm package, both subscribed to `<name>.*` and told that they are. */
async function readersOf(name: string, types = ['$position']): Promise<Reader[]> {
  const path = pathOf(name)
  const inNode = readInNode(cluster.url + path, types)
  open.push(inNode)
  const readers = inChromium ? [await readInPage(await visit(cluster.url), [path], types), inNode] : [inNode]
  await until(readers, 'to be open', types.includes('$position') ? isOpen : ({ opens }) => opens > 0)
  return readers
}

async function visit(url: string): Promise<Page> {
  const page = await browser.newPage({ ignoreHTTPSErrors: true })
  open.push(page)
  await page.goto(url)
  return page
}

/** Publishes steadily over three topics `<name>.<n>`; returns when the first events are stored. */
async function publish(name: string): Promise<SteadyPublisher> {
  const publishing = new SteadyPublisher(cluster.publisher.url, (n) => `${name}.${n % 3}`, eventsPerSecond)
  open.push({ close: async () => void (await publishing.stop()) })
  await publishing.more(eventsPerSecond)
  return publishing
}

/** Each pod in turn, so that one is always there and every stream is cut at least once. */
async function restartGateways(): Promise<void> {
  for (const index of [0, 1] as const) {
    await cluster.killGateway(index)
    await cluster.startGateway(index)
  }
}

const pathOf = (name: string) => `/v1/events?topic=${name}.*`
const isOpen = ({ named }: StreamRecord) => named.some(({ type }) => type === '$position')

async function recordsOf(readers: Reader[]): Promise<StreamRecord[]> {
  return (await Promise.all(readers.map((reader) => reader.records()))).flat()
}

async function until(
  readers: Reader[],
  what: string,
  matches: (record: StreamRecord) => boolean,
): Promise<void> {
  for (const reader of readers) {
    let seen: StreamRecord[] = []
    await waitUntil(
      async () => {
        seen = await reader.records()
        return seen.every(matches)
      },
      {
        get what() {
          return `the streams of ${reader.name} ${what}: ${JSON.stringify(seen.map(summary))}`
        },
        timeoutMs: afterOutageMs,
      },
    )
  }
}

const summary = ({ numbers, named, ...rest }: StreamRecord) => ({
  ...rest,
  events: numbers.length,
  lastNamed: named.at(-1),
})

/** Stops publishing and expects every event on every stream: once, in order, on an EventSource that never closed. */
async function untilComplete(readers: Reader[], publishing: SteadyPublisher): Promise<StreamRecord[]> {
  const last = await publishing.stop()
  await until(readers, `to have event ${last}`, ({ numbers }) => numbers.at(-1) === last)
  const records = await recordsOf(readers)
  const all = Array.from({ length: last }, (_, index) => index + 1)
  for (const record of records) expect(record).toMatchObject({ numbers: all, closed: false })
  return records
}
