import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { haveBrowser, launchBrowser } from '../support/browser.ts'
import { type Service, startService } from '../support/service.ts'
import { waitUntil } from '../support/wait.ts'
import { WebCluster } from '../support/web-cluster.ts'

/** Each page, and what it shows of the demo's feeds. */
const pages: { name: string; shows: Record<string, RegExp> }[] = [
  {
    name: 'index',
    shows: {
      '#wire': /event: quote\.tick/,
      '[data-prefix="demo.news."]': /^[1-9]\d* received/,
      '[data-prefix="demo.orders."]': /^[1-9]\d* received/,
      '[data-prefix="demo.cluster"]': /^[1-9]\d* received/,
    },
  },
  { name: 'news', shows: { '#news .magnitude': /^\d\.\d$/ } },
  { name: 'orders', shows: { '#orders': /#\d+/, '#total-placed': /^[1-9]/ } },
  { name: 'notifications', shows: { '#inbox h3': /\w/ } },
  {
    name: 'dashboard',
    shows: {
      '#pods': /Up.*Up/,
      '#tile-connections': /[1-9]/,
      '#quotes': /AAPL.*MSFT/,
      '#answer-connected': /Yes.*on 2 of 2 gateways; the prober is connected/,
      '#answer-timely': /99 % within .* through the front door/,
      '#answer-lost': /Nothing.*0 lost, 0 twice.*1 of 1 copy/,
      '#tile-log': /[1-9]/,
      '#tile-round-trip': /\d ms/,
    },
  },
  { name: 'messages', shows: { '#board .board-from': /\d:\d\d/ } },
  { name: 'send', shows: { '#arrivals': /message\.broadcast/ } },
]

let cluster: WebCluster
let demo: Service
let prober: Service
let browser: Browser

describe.skipIf(!haveBrowser())('the demo on a real cluster', () => {
  const open: { page: Page; faults: string[] }[] = []

  beforeAll(async () => {
    cluster = await WebCluster.start({ pagesRoot: join(import.meta.dirname, '../../services/demo/pages') })
    prober = await startService('prober', { BASE_URL: cluster.url })
    demo = await startService('demo', {
      PUBLISHER_URL: `${cluster.url}/v1/events`,
      GATEWAY_METRICS_URLS: cluster.gateways.map((gateway) => `${gateway.operationsUrl}/metrics`).join(),
      PUBLISHER_METRICS_URLS: `${cluster.publisher.operationsUrl}/metrics`,
      PROBER_METRICS_URLS: `${prober.operationsUrl}/metrics`,
      DEMO_RATE: 40,
    })
    browser = await launchBrowser()
  })

  afterEach(async () => {
    for (const { page } of open.splice(0)) await page.close()
  })

  afterAll(async () => {
    await browser?.close()
    await demo?.kill()
    await prober?.kill()
    await cluster?.stop()
  })

  test.each(pages)('$name shows what happens, as it happens', async ({ name, shows }) => {
    const { page, faults } = await visit(`${cluster.url}/${name}.html`)
    for (const [selector, pattern] of Object.entries(shows)) await expectText(page, selector, pattern)
    // What was replayed stands there already; what counts from now on is live.
    const before = await received(page)
    await waitUntil(async () => (await received(page)) > before, { what: `${name} to get more` })
    await expectText(page, '#status .position', /^[a-z0-9]+-\d+$/)
    await expectText(page, '#status', /Gaps0/)
    expect(faults).toEqual([])
  })

  test('what one page sends stands on another, over HTTP/2 too', async () => {
    const reader = await visit(`${cluster.url}/messages.html`)
    const sender = await visit(`${cluster.tlsUrl}/send.html`)
    await sender.page.fill('[name=data]', JSON.stringify({ from: 'A test', text: 'seen everywhere' }))
    await sender.page.click('button[type=submit]')
    await expectText(sender.page, '#answers .status-code', /^201$/)
    await expectText(sender.page, '#arrivals', /seen everywhere/)
    await expectText(reader.page, '#main', /seen everywhere/)
    expect([...reader.faults, ...sender.faults]).toEqual([])
  })

  test('a page goes on when a gateway is killed, and the dashboard says which', async () => {
    const { page } = await visit(`${cluster.url}/dashboard.html`)
    await expectText(page, '#pods', /Up.*Up/)
    await cluster.killGateway(0)
    await expectText(page, '#pods', /Away/)
    await expectText(page, '#status .state', /^Live$/)
    await cluster.startGateway(0)
    await cluster.killGateway(1)
    await expectText(page, '#pods', /Up.*Away/)
    await expectText(page, '#status', /Gaps0/)
    await cluster.startGateway(1)
  })

  async function visit(url: string): Promise<{ page: Page; faults: string[] }> {
    const page = await browser.newPage({ ignoreHTTPSErrors: true, locale: 'en-US' })
    const faults: string[] = []
    open.push({ page, faults })
    page.on('pageerror', (error) => faults.push(String(error)))
    page.on('requestfailed', (request) => faults.push(`${request.url()}: ${request.failure()?.errorText}`))
    // A breach of a content security policy is one of these.
    page.on('console', (line) => line.type() === 'error' && faults.push(line.text()))
    await page.goto(url)
    await expectText(page, '#status .state', /^Live$/)
    return { page, faults }
  }
})

async function received(page: Page): Promise<number> {
  const text = (await page.textContent('#status')) ?? ''
  return Number(/Received([\d,]+)/.exec(text)?.[1]?.replaceAll(',', '') ?? 0)
}

async function expectText(page: Page, selector: string, pattern: RegExp): Promise<void> {
  await expect
    .poll(() => page.textContent(selector, { timeout: 15_000 }), {
      timeout: 15_000,
      message: `${selector} of ${page.url()}`,
    })
    .toMatch(pattern)
}
