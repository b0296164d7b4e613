import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string
}

/**
 * A registry with what every service exports: the process's own metrics (event-loop delay, memory, CPU, descriptors,
 * garbage collection) and which version it is. One per service, so that a test can run several in one process.
 */
export function serviceRegistry(): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10 })
  new Gauge({
    name: 'sse_build_info',
    help: 'Always 1; the label tells the version. A change of it marks a deploy.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1)
  return registry
}

/** For `connectNats`, which tells each change. */
export function natsConnectedGauge(registry: Registry): Gauge {
  return new Gauge({
    name: 'sse_nats_connected',
    help: '1 while the service has a connection to NATS.',
    registers: [registry],
  })
}
