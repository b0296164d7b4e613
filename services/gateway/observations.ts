import type { FlusherOptions } from './flusher.ts'
import type { Metrics } from './metrics.ts'
import type { ReplayOptions } from './replay.ts'
import type { Router } from './router.ts'

/** What the flusher tells, as metrics; `onFlush` is told besides. */
export function observeFlushes(
  metrics: Metrics,
  onFlush: () => void,
): Pick<FlusherOptions, 'onFlushed' | 'onFlush'> {
  return {
    onFlushed: (latencyMs) => metrics.deliveryLatency.observe(latencyMs / 1000),
    onFlush(elapsedMs, events) {
      metrics.flushDuration.observe(elapsedMs / 1000)
      metrics.flushEvents.observe(events)
      onFlush()
    },
  }
}

/** What replay tells, as metrics. */
export function observeReplay(
  metrics: Metrics,
  router: Router,
): Pick<ReplayOptions, 'onOutcome' | 'onDelivered' | 'onBegun'> {
  return {
    onBegun: (waitedMs) => metrics.replayWait.observe(waitedMs / 1000),
    onDelivered(events, bytes) {
      router.countReplayed(events, bytes)
      metrics.replayedEvents.inc(events)
    },
    onOutcome(outcome, elapsedMs) {
      metrics.replays.inc({ source: 'stream', outcome })
      if (outcome === 'completed' && elapsedMs !== undefined) metrics.replayDuration.observe(elapsedMs / 1000)
    },
  }
}
