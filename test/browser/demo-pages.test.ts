import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DemoEvent } from '../../services/demo/feeds/feed.ts'
import { haveBrowser, launchBrowser } from '../support/browser.ts'
import { type DemoStub, startDemoStub } from '../support/demo-stub.ts'

const hostile = '<img src=x onerror=alert(1)>'
const order = { order: 42, item: hostile, totalCents: 1250, currency: 'EUR', customer: 'A. Moreau' }
const sample = {
  up: true,
  connections: 1_234,
  deliveredPerSecond: 77,
  tailLagEvents: 0,
  gaps: 3,
  latencyP99Ms: 5,
}
const earthquake = {
  id: 'x1',
  place: hostile,
  magnitude: 4.8,
  depthKm: 10,
  longitude: 140,
  latitude: 38,
  occurredAt: '2018-02-01T10:00:00.000Z',
  url: 'javascript:alert(1)',
}

/** Each page, an event for it, and what it must show of it. */
const pages: { name: string; event: DemoEvent; shows: string[] }[] = [
  {
    name: 'index',
    event: { topic: 'demo.orders.42', type: 'order.paid', data: order },
    shows: ['event: order.paid', '1 received'],
  },
  {
    name: 'news',
    event: { topic: 'demo.news.earthquakes', type: 'earthquake.reported', data: earthquake },
    shows: [hostile, '4.8'],
  },
  {
    name: 'orders',
    event: { topic: 'demo.orders.42', type: 'order.shipped', data: { ...order, carrier: 'DPD' } },
    shows: [hostile, '#42', 'DPD'],
  },
  {
    name: 'notifications',
    event: {
      topic: 'demo.notifications.ada',
      type: 'notification.created',
      data: { user: 'ada', kind: 'mention', title: hostile, body: 'Look at this' },
    },
    shows: [hostile, 'Look at this', '1 unread'],
  },
  {
    name: 'dashboard',
    event: {
      topic: 'demo.cluster',
      type: 'cluster.sampled',
      data: {
        gateways: [
          { name: hostile, ...sample },
          { name: 'pod-2', up: false },
        ],
        publishers: [
          {
            ...{ name: 'p', up: true, storedPerSecond: 9, ackP99Ms: 1, logEvents: 4_321, logBytes: 1 },
            ...{ replicas: 3, replicasCurrent: 2 },
          },
        ],
        probers: [
          {
            ...{ name: 'q', up: true, connected: false, roundTripP99Ms: 2_500 },
            ...{ lost: 0, duplicated: 0, resumes: 3 },
          },
        ],
      },
    },
    shows: [
      ...[hostile, '1,234', '77', 'Away', '4,321', '2.5 s'],
      ...['clients connected?No', '1,234 streams on 1 of 2 gateways; the prober is cut off'],
      ...['arrive in time?Late', '99 % within 2.5 s of publishing'],
      ...['lost?Nothing', '2 of 3 copies of the log current'],
    ],
  },
  {
    name: 'messages',
    event: { topic: 'demo.messages', type: 'message.broadcast', data: { from: 'Me', text: hostile } },
    shows: [hostile, 'Me'],
  },
  {
    name: 'send',
    event: { topic: 'demo.messages', type: 'message.broadcast', data: { text: hostile } },
    shows: [hostile, 'message.broadcast'],
  },
]

describe.skipIf(!haveBrowser())('the demo pages, in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchBrowser()
  }, 60_000)
  afterAll(async () => await browser?.close())

  it.each(pages)(
    '$name shows an event, the state, the position and a gap',
    async ({ name, event, shows }) => {
      await visit(name, async (page, stub, faults) => {
        await expectText(page, '#status .state', 'Live')
        stub.publish(event)
        for (const text of shows) await expectText(page, 'main', text)
        await expectText(page, '#status .position', 'stub-1')
        await expectText(page, '#status', 'Received1')
        stub.gap('expired')
        await expectText(page, '#status .gaps', 'Gap (expired)')
        expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(
          true,
        )
        expect(faults).toEqual([])
      })
    },
  )

  it('come back from a cut by themselves, from their position, without showing anything twice', async () => {
    await visit('messages', async (page, stub) => {
      stub.publish(message('one'))
      await expectText(page, '#board', 'one')
      stub.cut()
      stub.publish(message('two'))
      await expectText(page, '#board', 'two')
      await expectText(page, '#status .state', 'Live')
      await expectText(page, '#status', 'Received2')
      expect(stub.positions).toEqual(['', 'stub-1'])
    })
  })

  it('pause, and resume without losing what came meanwhile', async () => {
    await visit('messages', async (page, stub) => {
      stub.publish(message('one'))
      await expectText(page, '#board', 'one')
      await page.click('#status button')
      await expectText(page, '#status .state', 'Paused')
      stub.publish(message('two'))
      await page.click('#status button')
      await expectText(page, '#board', 'two')
      expect(stub.positions).toEqual(['', 'stub-1'])
    })
  })

  it('say why the server refused, and try again when asked', async () => {
    await visit('messages', async (page, stub) => {
      stub.refuse({ status: 403, title: 'The token does not grant this', detail: 'Not demo.messages.' })
      stub.cut()
      await expectText(page, '#status .state', 'Refused')
      await expectText(page, '#status .refusal', '403: Not demo.messages.')
      stub.refuse(undefined)
      await page.click('#status button')
      await expectText(page, '#status .state', 'Live')
    })
  })

  it('send with a separate request, show the answer, and a repeated key stores once', async () => {
    await visit('send', async (page, _stub, faults) => {
      await page.fill('[name=type]', 'greeting.sent')
      await page.fill('[name=data]', '{"text": "from the form"}')
      await page.click('#new-key')
      await page.click('button[type=submit]')
      await expectText(page, '#answers', '"duplicate": false')
      await expectText(page, '#arrivals', 'greeting.sent')
      await page.click('button[type=submit]')
      await expectText(page, '#answers', '"duplicate": true')
      expect(await page.locator('#arrivals li').count()).toBe(1)
      await page.fill('[name=data]', '{broken')
      await page.click('button[type=submit]')
      expect(await page.locator('#answers li').count()).toBe(2)
      expect(faults).toEqual([])
    })
  })

  it('say that something is lost when the prober’s count grows, and not for what was lost long ago', async () => {
    await visit('dashboard', async (page, stub) => {
      const probers = (lost: number) => [
        { name: 'q', up: true, connected: true, roundTripP99Ms: 5, lost, duplicated: 0, resumes: 3 },
      ]
      const tell = (lost: number) =>
        stub.publish({
          topic: 'demo.cluster',
          type: 'cluster.sampled',
          data: { gateways: [{ name: 'g', ...sample }], publishers: [], probers: probers(lost) },
        })
      tell(7)
      await expectText(page, '#answer-lost', 'Nothing')
      await expectText(page, '#answer-connected', 'Yes')
      await expectText(page, '#answer-timely', 'Yes')
      tell(9)
      await expectText(page, '#answer-lost', 'in 10 min: 2 lost')
      expect(await page.getAttribute('#answer-lost', 'data-state')).toBe('bad')
    })
  })

  it('say “late”, and by more than what, when it is beyond what can be told', async () => {
    await visit('dashboard', async (page, stub) => {
      const prober = { name: 'q', up: true, connected: true, lost: 0, duplicated: 0, resumes: 3 }
      const probers = [{ ...prober, roundTripP99Ms: 30_000, roundTripP99Beyond: true }]
      const gateways = [{ name: 'g', ...sample, latencyP99Ms: 10_000, latencyP99Beyond: true }]
      stub.publish({
        topic: 'demo.cluster',
        type: 'cluster.sampled',
        data: { gateways, publishers: [], probers },
      })
      await expectText(page, '#answer-timely', 'Late')
      await expectText(page, '#answer-timely', 'more than 1 % take longer than 30.0 s')
      await expectText(page, '#tile-latency', '> 10.0 s')
      expect(await page.getAttribute('#answer-timely', 'data-state')).toBe('bad')
    })
  })

  it('take their answers back when no numbers come any more', async () => {
    await visit('dashboard', async (page, stub) => {
      const gateways = [{ name: 'g', ...sample }]
      const tell = () =>
        stub.publish({
          topic: 'demo.cluster',
          type: 'cluster.sampled',
          data: { gateways, publishers: [], probers: [] },
        })
      tell()
      await expectText(page, '#answer-connected', 'Yes')
      for (const name of ['connected', 'timely', 'lost']) {
        await expectText(page, `#answer-${name}`, 'no numbers for')
        expect(await page.getAttribute(`#answer-${name}`, 'data-state')).toBe('unknown')
      }
      tell()
      await expectText(page, '#answer-connected', 'Yes')
    })
  })

  it('follow another user without keeping the first one’s notifications', async () => {
    await visit('notifications', async (page, stub) => {
      stub.publish(notification('ada'))
      await expectText(page, '#inbox', 'for ada')
      stub.publish(notification('grace'))
      await page.selectOption('#user', 'grace')
      await expectText(page, '#inbox', 'for grace')
      expect(await page.textContent('#inbox')).not.toContain('for ada')
    })
  })

  async function visit(
    name: string,
    look: (page: Page, stub: DemoStub, faults: string[]) => Promise<void>,
  ): Promise<void> {
    const stub = await startDemoStub()
    // Narrow, so that a page that is wider than a telephone is noticed.
    const page = await browser.newPage({ viewport: { width: 390, height: 844 }, locale: 'en-US' })
    const faults: string[] = []
    page.on('pageerror', (error) => faults.push(String(error)))
    page.on('dialog', (dialog) => faults.push(`dialog: ${dialog.message()}`))
    page.on('console', (line) => line.type() === 'error' && faults.push(line.text()))
    try {
      await page.goto(`${stub.url}/${name}.html`)
      await expectText(page, '#status .state', 'Live')
      await look(page, stub, faults)
    } finally {
      await page.close()
      await stub.close()
    }
  }
})

it('the demo pages have the same frame, and the current page is marked', () => {
  const frames = pages.map(({ name }) => {
    const html = readFileSync(join(import.meta.dirname, `../../services/demo/pages/${name}.html`), 'utf8')
    expect(html.match(/href="([\w.]+)" aria-current="page"/)?.[1]).toBe(`${name}.html`)
    return html
      .replace(' aria-current="page"', '')
      .match(/<header[\s\S]*<\/header>|<footer[\s\S]*<\/footer>/g)
      ?.join('')
  })
  expect(new Set(frames).size).toBe(1)
})

async function expectText(page: Page, selector: string, text: string): Promise<void> {
  await expect
    .poll(() => page.textContent(selector), { timeout: 10_000, message: `${selector} of ${page.url()}` })
    .toContain(text)
}

function message(text: string): DemoEvent {
  return { topic: 'demo.messages', type: 'message.broadcast', data: { from: 'Me', text } }
}

function notification(user: string): DemoEvent {
  const data = { user, kind: 'review', title: `for ${user}`, body: '' }
  return { topic: `demo.notifications.${user}`, type: 'notification.created', data }
}
