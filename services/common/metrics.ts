import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string
}

/**
 * A registry with what every service exports: the process's own metrics (event-loop delay, memory, CPU, descriptors,
 * garbage collection) and which version it is. One per service, so that a test can run several in one process.
 */
export function serviceRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  measureEventLoop(registry)
  new Gauge({
    name: 'sse_build_info',
    help: 'Always 1; the label tells the version. A change of it marks a deploy.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1)
  return registry
}

const delayResolutionMs = 10
const delaySeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/**
 * prom-client's own `nodejs_eventloop_lag_…` begin anew with every scrape, whoever it is by: beside the demo's, every
 * two seconds, Prometheus would see little of a quarter of a minute. This one belongs to no scrape.
 */
function measureEventLoop(registry: Registry): void {
  const worst = new Histogram({
    name: 'sse_event_loop_delay_seconds',
    help: 'Greatest delay of the event loop within each second.',
    buckets: delaySeconds,
    registers: [registry],
  })
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs })
  delay.enable()
  setInterval(() => {
    // What Node records is the time between two samples.
    worst.observe(Math.max(0, delay.max / 1e6 - delayResolutionMs) / 1000)
    delay.reset()
  }, 1_000).unref()
}

/** For `connectNats`, which tells each change. */
export function natsConnectedGauge(registry: Registry): Gauge {
  return new Gauge({
    name: 'sse_nats_connected',
    help: '1 while the service has a connection to NATS.',
    registers: [registry],
  })
}
