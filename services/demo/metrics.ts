import { Counter } from 'prom-client'
import { serviceRegistry } from '../common/metrics.ts'

/** The demo's metrics, each in a registry of its own so that tests can run several demos. */
export function createDemoMetrics() {
  const registry = serviceRegistry()
  return {
    registry,
    published: new Counter({
      name: 'demo_events_published_total',
      help: 'Events that the publisher said are stored.',
      labelNames: ['feed'],
      registers: [registry],
    }),
    refused: new Counter({
      name: 'demo_events_refused_total',
      help: 'Events that the publisher refused for good.',
      labelNames: ['feed'],
      registers: [registry],
    }),
    retries: new Counter({
      name: 'demo_publish_retries_total',
      help: 'Attempts that failed and were tried again.',
      registers: [registry],
    }),
  }
}

export type DemoMetrics = ReturnType<typeof createDemoMetrics>
