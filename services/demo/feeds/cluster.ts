import type { DemoEvent, Feed } from './feed.ts'
import { gatewayUrls } from './gateway-addresses.ts'
import { type GatewaySample, parseMetrics, type Scrape, sampleOf } from './gateway-metrics.ts'

/** Fetches one page of metrics. @throws when it can't. */
export type ReadMetrics = (url: string) => Promise<string>

/** A gateway in an event: its numbers, or only its name while it does not answer. */
export type GatewayState = { name: string; up: false } | ({ name: string; up: true } & GatewaySample)

/** The cluster's own numbers, read from the gateways' metrics. */
export class ClusterFeed implements Feed {
  readonly name = 'cluster'
  private readonly urls: readonly string[]
  private readonly read: ReadMetrics
  private readonly scrapes = new Map<string, Scrape>()

  constructor(urls: readonly string[], read: ReadMetrics = readMetrics) {
    this.urls = urls
    this.read = read
  }

  async next(nowMs: number): Promise<DemoEvent | undefined> {
    if (this.urls.length === 0) return undefined
    // Asked anew each time: gateways come and go.
    const urls = [...new Set((await Promise.all(this.urls.map(gatewayUrls))).flat())]
    for (const known of this.scrapes.keys()) if (!urls.includes(known)) this.scrapes.delete(known)
    const gateways = await Promise.all(urls.map((url) => this.state(url, nowMs)))
    return { topic: 'demo.cluster', type: 'cluster.sampled', data: { gateways } }
  }

  private async state(url: string, nowMs: number): Promise<GatewayState> {
    const name = new URL(url).host
    try {
      const scrape = parseMetrics(await this.read(url), nowMs)
      const sample = sampleOf(this.scrapes.get(url), scrape)
      this.scrapes.set(url, scrape)
      return { name, up: true, ...sample }
    } catch {
      // A pod that is away is news for the dashboard, not a fault of the demo.
      this.scrapes.delete(url)
      return { name, up: false }
    }
  }
}

const readTimeoutMs = 1_000

async function readMetrics(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(readTimeoutMs) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return await response.text()
}
