import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../common/log.ts'
import { listOf } from '../common/settings.ts'
import type { DemoSettings } from './config.ts'
import { ClusterFeed, type ClusterUrls } from './feeds/cluster.ts'
import { readDataSet } from './feeds/data-set.ts'
import { EarthquakesFeed, parseEarthquakes } from './feeds/earthquakes.ts'
import type { Feed, Random } from './feeds/feed.ts'
import { MessagesFeed } from './feeds/messages.ts'
import { NotificationsFeed } from './feeds/notifications.ts'
import { OrdersFeed } from './feeds/orders.ts'
import { parseQuotes, QuotesFeed } from './feeds/quotes.ts'
import type { DemoMetrics } from './metrics.ts'
import { PublisherClient, PublishRefused } from './publisher-client.ts'

const clusterPeriodMs = 2_000
const refusedPauseMs = 5_000

export interface Demo {
  /** Why nothing gets through; undefined when events are being stored. */
  notReady(): string | undefined
  /** Runs every feed until `stop` is aborted. */
  run(stop: AbortSignal): Promise<void>
}

/** Joins the feeds, their rhythm and the publisher. */
export function createDemo(
  settings: DemoSettings,
  metrics: DemoMetrics,
  log: Log,
  random: Random = Math.random,
): Demo {
  const client = new PublisherClient({
    url: settings.PUBLISHER_URL,
    token: settings.PUBLISHER_TOKEN,
    random,
    onRetry: (reason) => {
      metrics.retries.inc()
      log.warn({ reason }, 'publishing again later')
    },
  })
  const feeds = scheduleOf(settings, random)
  return {
    notReady: () => client.waitingFor,
    run: async (stop) => {
      log.info({ url: settings.PUBLISHER_URL, rate: settings.DEMO_RATE }, 'the demo publishes')
      await Promise.all(
        feeds.map(({ feed, periodMs }) => runFeed(feed, periodMs, client, metrics, log, random, stop)),
      )
    },
  }
}

/** Each feed and how often it speaks, so that all together keep DEMO_RATE. */
function scheduleOf(settings: DemoSettings, random: Random): { feed: Feed; periodMs: number }[] {
  const shares: [Feed, number][] = [
    [new QuotesFeed(parseQuotes(readDataSet('stocks.csv')), random), 0.55],
    [new OrdersFeed(random), 0.2],
    [new EarthquakesFeed(parseEarthquakes(readDataSet('earthquakes.json')), random), 0.1],
    [new NotificationsFeed(random), 0.1],
    [new MessagesFeed(random), 0.05],
  ]
  return [
    ...shares.map(([feed, share]) => ({ feed, periodMs: 1000 / (settings.DEMO_RATE * share) })),
    { feed: new ClusterFeed(clusterUrls(settings)), periodMs: clusterPeriodMs },
  ]
}

function clusterUrls(settings: DemoSettings): ClusterUrls {
  return {
    gateways: listOf(settings.GATEWAY_METRICS_URLS),
    publishers: listOf(settings.PUBLISHER_METRICS_URLS),
    probers: listOf(settings.PROBER_METRICS_URLS),
  }
}

/** One event after the other: while the publisher is away a feed waits, and nothing piles up. */
async function runFeed(
  feed: Feed,
  periodMs: number,
  client: PublisherClient,
  metrics: DemoMetrics,
  log: Log,
  random: Random,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    try {
      const event = await feed.next(Date.now())
      if (event) {
        await client.publish(event, stop)
        metrics.published.inc({ feed: feed.name })
      }
      // Jitter keeps the feeds from marching in step.
      await delay(periodMs * (0.7 + 0.6 * random()), undefined, { signal: stop })
    } catch (error) {
      if (stop.aborted) return
      if (!(error instanceof PublishRefused)) throw error
      metrics.refused.inc({ feed: feed.name })
      log.error({ feed: feed.name, reason: error.message }, 'the publisher refused an event')
      await delay(refusedPauseMs, undefined, { signal: stop }).catch(() => undefined)
    }
  }
}
