import { urlsBehind } from './addresses.ts'
import type { DemoEvent, Feed } from './feed.ts'
import { parseMetrics, type Scrape } from './scrape.ts'
import {
  type GatewayVitals,
  gatewayVitals,
  type History,
  type ProberVitals,
  type PublisherVitals,
  proberVitals,
  publisherVitals,
} from './vitals.ts'

/** Fetches one page of metrics. @throws when it can't. */
export type ReadMetrics = (url: string) => Promise<string>

/** Metrics URLs by kind of service. */
export interface ClusterUrls {
  gateways: readonly string[]
  publishers?: readonly string[]
  probers?: readonly string[]
}

/** A process in an event: its numbers, or only its name while it does not answer. */
export type State<Vitals> = { name: string; up: false } | ({ name: string; up: true } & Vitals)

/** What the event `cluster.sampled` says. */
export interface ClusterSample {
  gateways: State<GatewayVitals>[]
  publishers: State<PublisherVitals>[]
  probers: State<ProberVitals>[]
}

const historyMs = 60_000

/** The cluster's own vital numbers, read from the metrics of its services. */
export class ClusterFeed implements Feed {
  readonly name = 'cluster'
  private readonly urls: ClusterUrls
  private readonly read: ReadMetrics
  private readonly histories = new Map<string, Scrape[]>()

  constructor(urls: ClusterUrls, read: ReadMetrics = readMetrics) {
    this.urls = urls
    this.read = read
  }

  async next(nowMs: number): Promise<DemoEvent | undefined> {
    const { gateways, publishers = [], probers = [] } = this.urls
    if (gateways.length + publishers.length + probers.length === 0) return undefined
    const [gatewayUrls, publisherUrls, proberUrls] = await Promise.all([
      present(gateways),
      present(publishers),
      present(probers),
    ])
    const known = new Set([...gatewayUrls, ...publisherUrls, ...proberUrls])
    for (const url of this.histories.keys()) if (!known.has(url)) this.histories.delete(url)
    const states = <Vitals>(urls: readonly string[], vitalsOf: (history: History) => Vitals) =>
      Promise.all(urls.map((url) => this.state(url, nowMs, vitalsOf)))
    const [gatewayStates, publisherStates, proberStates] = await Promise.all([
      states(gatewayUrls, gatewayVitals),
      states(publisherUrls, publisherVitals),
      states(proberUrls, proberVitals),
    ])
    const data: ClusterSample = {
      gateways: gatewayStates,
      publishers: publisherStates,
      probers: proberStates,
    }
    return { topic: 'demo.cluster', type: 'cluster.sampled', data }
  }

  private async state<Vitals>(
    url: string,
    nowMs: number,
    vitalsOf: (history: History) => Vitals,
  ): Promise<State<Vitals>> {
    const name = new URL(url).host
    try {
      const scrape = parseMetrics(await this.read(url), nowMs)
      const history = (this.histories.get(url) ?? []).filter(({ atMs }) => nowMs - atMs <= historyMs)
      history.push(scrape)
      this.histories.set(url, history)
      return { name, up: true, ...vitalsOf(history) }
    } catch {
      // A pod that is away is news for the dashboard, not a fault of the demo.
      this.histories.delete(url)
      return { name, up: false }
    }
  }
}

/** Asked anew each time: processes come and go. */
async function present(urls: readonly string[]): Promise<string[]> {
  return [...new Set((await Promise.all(urls.map(urlsBehind))).flat())]
}

const readTimeoutMs = 1_000

async function readMetrics(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(readTimeoutMs) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return await response.text()
}
