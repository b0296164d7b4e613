/**
 * Does it work at all? A few clients with topics by name and by pattern, everything checked; one of them is looked at
 * event by event; then all lose their network and come back.
 *
 * CONNECTIONS=20 RATE=20 (events/s) DURATION=5s P99_MS=2000
 */
import { check } from 'k6'
import sse from 'k6/x/sse'
import { allDelivered, allOpen, allStored, runName, topicsOf } from './lib/crowd.ts'
import { scenarioOptions } from './lib/options.ts'
import { summaryOf } from './lib/report.ts'
import { clientSettings, duration, number, publisherSettings, share } from './lib/settings.ts'

export const options = scenarioOptions('smoke', { p99Ms: 2000, resumeOk: 1 })

export default async function smoke(): Promise<void> {
  const topics = topicsOf(4)
  const ids: string[] = []
  const named = sse.open({
    ...clientSettings(),
    name: 'by-name',
    topics: (i) => [topics[i % 4] as string, topics[(i + 1) % 4] as string],
    connections: share('CONNECTIONS', 20, 1),
  })
  const all = sse.open({
    ...clientSettings(),
    name: 'by-pattern',
    topics: [`load.${runName()}.*`],
    onEvent: (event) => {
      if (!event.type.startsWith('$')) ids.push(event.id)
    },
  })
  await Promise.all([allOpen(named), allOpen(all)])
  const publisher = sse.publish({
    ...publisherSettings(),
    topics,
    rate: number('RATE', 20),
    duration: duration('DURATION', '5s'),
  })
  await sse.sleep('1s')
  const cut = named.cut({ comeBackWithin: '500ms' }) + all.cut({ comeBackWithin: '500ms' })
  console.log(`${cut} streams cut`)
  const stored = await allStored(publisher)
  await allDelivered([named, all])
  check(ids, { 'the callback saw each event once': (seen) => new Set(seen).size === stored?.stored })
}

export const handleSummary = summaryOf('smoke', 'Does it work at all?')
