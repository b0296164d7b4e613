import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { documentedMetrics, exportedMetrics } from '../support/metrics-page.ts'
import { startUpstream } from '../support/nginx.ts'
import { type Service, startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'
import { WebCluster } from '../support/web-cluster.ts'

let cluster: WebCluster
const probers: Service[] = []

beforeAll(async () => {
  cluster = await WebCluster.start({ gatewaySettings: { DRAIN_WINDOW_MS: 0 } })
})
afterEach(async () => {
  await Promise.all(probers.splice(0).map((prober) => prober.kill()))
})
afterAll(() => cluster?.stop())

async function startProber(env: Record<string, string | number> = {}, ready = true): Promise<Service> {
  const prober = await startService(
    'prober',
    { BASE_URL: cluster.url, PROBE_INTERVAL_MS: 50, PROBE_TOPIC: `probe.${probers.length}`, ...env },
    { ready },
  )
  probers.push(prober)
  return prober
}

/** What must stay 0 whatever happens to the cluster, as long as it keeps its promises. */
const faults = ['lost', 'late', 'duplicated', 'out_of_order'].map((name) => `sse_probe_${name}_total`)

async function expectNoFault(prober: Service): Promise<void> {
  const counts = await Promise.all(faults.map(async (name) => [name, await prober.metric(name)]))
  expect(Object.fromEntries(counts)).toEqual(Object.fromEntries(faults.map((name) => [name, 0])))
  for (const outcome of ['gap', 'lost'])
    expect([outcome, await prober.metric(`sse_probe_resumes_total{outcome="${outcome}"}`)]).toEqual([
      outcome,
      0,
    ])
}

async function untilMore(prober: Service, series: string, count: number): Promise<void> {
  const target = (await prober.metric(series)) + count
  await waitUntil(async () => (await prober.metric(series)) >= target, {
    what: `${series} to reach ${target}`,
    timeoutMs: 30_000,
  })
}

test('canaries go round through the front door, and forced reconnects lose and repeat none', async () => {
  const prober = await startProber({ PROBE_RECONNECT_MS: 500 })
  await untilMore(prober, 'sse_probe_resumes_total{outcome="ok"}', 5)
  await untilMore(prober, 'sse_probe_received_total', 20)
  expect(await prober.metric('sse_probe_connected')).toBe(1)
  // Forced reconnects are no time without a stream.
  expect(await prober.metric('sse_probe_seconds_total{state="up"}')).toBeGreaterThan(0)
  expect(await prober.metric('sse_probe_seconds_total{state="down"}')).toBe(0)
  expect(await prober.metric('sse_probe_connects_total{outcome="ok"}')).toBeGreaterThan(5)
  expect(await prober.metric('sse_probe_connect_seconds_count')).toBeGreaterThan(5)
  expect(await prober.metric('sse_probe_latency_seconds_count')).toBeGreaterThan(20)
  const { sse_probe_certificate_expiry_seconds: onlyWithTls, ...rest } = documentedMetrics('Prober')
  expect(onlyWithTls).toBe('gauge')
  expect(await exportedMetrics(prober.operationsUrl)).toEqual(rest)
  await expectNoFault(prober)
})

test('a killed gateway is felt at most for the time that an EventSource takes to come back', async () => {
  const prober = await startProber()
  await cluster.killGateway(0)
  await untilMore(prober, 'sse_probe_received_total', 20)
  await cluster.startGateway(0)
  await cluster.killGateway(1)
  await untilMore(prober, 'sse_probe_received_total', 20)
  await cluster.startGateway(1)
  await waitUntil(async () => (await prober.metric('sse_probe_connected')) === 1, { what: 'a stream again' })
  expect(await prober.metric('sse_probe_resumes_total{outcome="ok"}')).toBeGreaterThan(0)
  await expectNoFault(prober)
})

test('with no gateway it is not connected, and what was stored meanwhile comes when one is back', async () => {
  const prober = await startProber()
  await cluster.killGateway(0)
  await cluster.killGateway(1)
  await waitUntil(async () => (await prober.metric('sse_probe_connected')) === 0, { what: 'it to notice' })
  await untilMore(prober, 'sse_probe_connects_total{outcome="failed"}', 1)
  await untilMore(prober, 'sse_probe_published_total{outcome="stored"}', 10)
  await untilMore(prober, 'sse_probe_seconds_total{state="down"}', 2)
  await Promise.all([cluster.startGateway(0), cluster.startGateway(1)])
  await untilMore(prober, 'sse_probe_resumes_total{outcome="ok"}', 1)
  await waitUntil(
    async () =>
      (await prober.metric('sse_probe_received_total')) >=
      (await prober.metric('sse_probe_published_total{outcome="stored"}')) - 5,
    { what: 'what was stored meanwhile' },
  )
  expect(await prober.metric('sse_probe_connected')).toBe(1)
  await expectNoFault(prober)
})

test('a canary that is stored and does not come in time counts as lost, and is noted when it comes late', async () => {
  const prober = await startProber({ PROBE_LOST_AFTER_MS: 500 })
  await cluster.killGateway(0)
  await cluster.killGateway(1)
  await untilMore(prober, 'sse_probe_lost_total', 3)
  await Promise.all([cluster.startGateway(0), cluster.startGateway(1)])
  await untilMore(prober, 'sse_probe_late_total', 3)
  const lost = await prober.metric('sse_probe_lost_total')
  expect(await prober.metric('sse_probe_late_total')).toBeLessThanOrEqual(lost)
  expect(prober.logLines().some(({ msg }) => msg === 'a stored canary did not come in time')).toBe(true)
})

test('publishing that fails is counted once an interval, and no canary is stored twice', async () => {
  const prober = await startProber()
  await cluster.publisher.kill()
  await untilMore(prober, 'sse_probe_published_total{outcome="failed"}', 10)
  await cluster.startPublisher()
  await untilMore(prober, 'sse_probe_received_total', 10)
  await expectNoFault(prober)
})

test('what the front door refuses for good is counted as refused, and the prober is not ready', async () => {
  const prober = await startProber({ BASE_URL: cluster.gateways[0]?.operationsUrl ?? '' }, false)
  await waitUntil(async () => (await prober.metric('sse_probe_connects_total{outcome="refused"}')) > 0, {
    what: 'the refusal',
  })
  // What has never worked is no outage of a service.
  await untilMore(prober, 'sse_event_loop_delay_seconds_count', 2)
  for (const state of ['up', 'down'])
    expect(await prober.metric(`sse_probe_seconds_total{state="${state}"}`)).toBe(0)
  expect(await prober.isReady()).toBe(false)
  expect(await prober.metric('sse_probe_connected')).toBe(0)
})

test('a front door that loses, repeats and reorders is found out', async () => {
  let sequence = 0
  let send = (_block: string) => {}
  const liar = await startUpstream(async (request, response) => {
    if (request.method === 'GET') {
      send = (block) => void response.write(block)
      const position = request.headers['last-event-id']
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      send(`retry: 50\nid: ${position ?? 'lie-0'}\nevent: $position\ndata: {}\n\n`)
      // "That is all there was", which it is not: what was stored while the stream was cut is missing.
      if (position) send(`id: lie-${sequence}\nevent: $live\ndata: {}\n\n`)
      return
    }
    const { data } = JSON.parse(await text(request)) as { data: unknown }
    const id = ++sequence
    const frame = (n: number) => `id: lie-${n}\nevent: probe.canary\ndata: ${JSON.stringify({ data })}\n\n`
    response.writeHead(201, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ id: `lie-${id}`, duplicate: false }))
    if (id % 4 === 1) send(frame(id) + frame(id))
    else if (id % 4 === 2) send(frame(id - 2))
    else if (id % 4 === 3) send(frame(id))
  })
  const prober = await startProber({
    BASE_URL: `http://127.0.0.1:${liar.port}`,
    PROBE_LOST_AFTER_MS: 500,
    PROBE_RECONNECT_MS: 500,
  })
  for (const name of ['lost', 'duplicated', 'out_of_order'])
    await untilMore(prober, `sse_probe_${name}_total`, 1)
  await untilMore(prober, 'sse_probe_resumes_total{outcome="lost"}', 1)
  await prober.kill()
  await liar.stop()
})

test('over TLS it tells until when the certificate is valid', async () => {
  const prober = await startProber({
    BASE_URL: cluster.tlsUrl,
    NODE_EXTRA_CA_CERTS: cluster.nginx.certificate,
  })
  await untilMore(prober, 'sse_probe_received_total', 5)
  await waitUntil(
    async () => (await prober.metric('sse_probe_certificate_expiry_seconds')) > Date.now() / 1000,
    { what: 'the certificate' },
  )
  expect(await exportedMetrics(prober.operationsUrl)).toEqual(documentedMetrics('Prober'))
  await expectNoFault(prober)
})

test('on plain http it watches the certificate that it is told of', async () => {
  const prober = await startProber({ PROBE_CERTIFICATE_URL: cluster.tlsUrl })
  await waitUntil(
    async () => (await prober.metric('sse_probe_certificate_expiry_seconds')) > Date.now() / 1000,
    { what: 'the certificate' },
  )
})

test('SIGTERM lets what is on its way arrive, and ends it with 0', async () => {
  const prober = await startProber()
  await untilMore(prober, 'sse_probe_received_total', 5)
  expect(await prober.term()).toBe(0)
  const messages = prober.logLines().map(({ msg }) => msg)
  expect(messages).toEqual(expect.arrayContaining(['draining', 'stopped']))
})

test('a bad setting stops the start and is named', async () => {
  for (const [name, value] of Object.entries({ PROBE_TOPIC: 'a b', PROBE_CERTIFICATE_URL: 'http://x' })) {
    const prober = await startProber({ [name]: value, METRICS_PORT: 0 }, false)
    expect(await prober.exited).toBe(1)
    expect(prober.output()).toContain(name)
  }
})
