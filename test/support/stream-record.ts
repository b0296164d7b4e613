import { EventSource as NodeEventSource } from 'eventsource'
import type { Page } from 'playwright-core'

/** What a stock EventSource has seen since it was made. */
export interface StreamRecord {
  opens: number
  errors: number
  /** True once readyState was CLOSED: it will never come back. */
  closed: boolean
  /** `n` of what `onmessage` got. */
  numbers: number[]
  /** Id of what `onmessage` got last. */
  lastEventId: string
  /** Events of the types that were listened for. */
  named: { type: string; id: string; data: Record<string, unknown> }[]
}

/** Whoever holds EventSources: a page, or this process. */
export interface Reader {
  name: string
  records(): Promise<StreamRecord[]>
  close(): Promise<void>
}

/** Opens stock EventSources in a page, one for each address. */
export async function readInPage(page: Page, urls: string[], types: string[]): Promise<Reader> {
  const [list, named] = [JSON.stringify(urls), JSON.stringify(types)]
  await page.evaluate(
    `globalThis.records = ${list}.map((url) => (${keepRecord})(new EventSource(url), ${named}))`,
  )
  return {
    name: 'Chromium',
    records: async () => (await page.evaluate('records')) as StreamRecord[],
    close: () => page.close(),
  }
}

/** Opens an EventSource of the npm package `eventsource` in this process. */
export function readInNode(url: string, types: string[]): Reader {
  const source = new NodeEventSource(url)
  const record = keepRecord(source as EventSource, types)
  return { name: 'eventsource', records: async () => [record], close: async () => source.close() }
}

/** Runs in a page too, so it uses nothing from outside. */
function keepRecord(source: EventSource, types: string[]): StreamRecord {
  const record: StreamRecord = {
    opens: 0,
    errors: 0,
    closed: false,
    numbers: [],
    lastEventId: '',
    named: [],
  }
  source.onopen = () => {
    record.opens++
  }
  source.onerror = () => {
    record.errors++
    // An EventSource that gives up says so with an error event.
    record.closed ||= source.readyState === source.CLOSED
  }
  source.onmessage = (event) => {
    record.numbers.push(JSON.parse(event.data).data.n)
    record.lastEventId = event.lastEventId
  }
  for (const type of types) {
    source.addEventListener(type, (event: MessageEvent) => {
      record.named.push({ type, id: event.lastEventId, data: JSON.parse(event.data) })
    })
  }
  return record
}
