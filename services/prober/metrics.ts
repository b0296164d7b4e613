import { Counter, Gauge, Histogram } from 'prom-client'
import { serviceRegistry } from '../common/metrics.ts'

export type ConnectOutcome = 'ok' | 'refused' | 'failed'
export type ResumeOutcome = 'ok' | 'gap' | 'lost'

export type ProbeMetrics = ReturnType<typeof createProbeMetrics>

const latencySeconds = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** What a user would feel. `connected` is read when somebody scrapes. */
export function createProbeMetrics(connected: () => boolean) {
  const registry = serviceRegistry()
  const registers = [registry]
  const outcomes = (name: string, help: string, values: readonly string[]) => {
    const counter = new Counter({ name, help, labelNames: ['outcome'], registers })
    // From 0 on: a rate does not see the first one of a series that was not there before.
    for (const outcome of values) counter.inc({ outcome }, 0)
    return counter
  }
  const stateCounter = () => {
    const counter = new Counter({
      name: 'sse_probe_seconds_total',
      help: 'Seconds since the first stream, by what a user had in them: up (a stream, or one again within 5 s, as after the normal rotation) or down.',
      labelNames: ['state'],
      registers,
    })
    for (const state of ['up', 'down']) counter.inc({ state }, 0)
    return counter
  }
  const counter = (name: string, help: string) => new Counter({ name, help, registers })

  new Gauge({
    name: 'sse_probe_connected',
    help: '1 while the prober has a stream and the canaries that were stored arrive on it; a forced reconnect alone does not make it 0.',
    registers,
    collect() {
      this.set(connected() ? 1 : 0)
    },
  })
  return {
    registry,
    published: outcomes(
      'sse_probe_published_total',
      'Canaries that were due, one each PROBE_INTERVAL_MS, by outcome: stored (acknowledged by the log) or failed (not, or not in time; tried again with the same id).',
      ['stored', 'failed'],
    ),
    received: counter('sse_probe_received_total', 'Canaries received, each counted once.'),
    lost: counter(
      'sse_probe_lost_total',
      'Canaries that were stored and had not come PROBE_LOST_AFTER_MS later.',
    ),
    late: counter(
      'sse_probe_late_total',
      'Canaries that counted as lost and came after all; they stay counted as lost.',
    ),
    duplicated: counter('sse_probe_duplicated_total', 'Canaries received again.'),
    outOfOrder: counter(
      'sse_probe_out_of_order_total',
      'Canaries received with an id that is not above that of the one before.',
    ),
    latency: new Histogram({
      name: 'sse_probe_latency_seconds',
      help: 'From the begin of the publish request until the canary was received.',
      buckets: latencySeconds,
      registers,
    }),
    seconds: stateCounter(),
    connects: outcomes(
      'sse_probe_connects_total',
      'Attempts to open a stream, by outcome: ok, refused (an answer after which an EventSource never comes back), failed (it would come back).',
      ['ok', 'refused', 'failed'],
    ),
    connectDuration: new Histogram({
      name: 'sse_probe_connect_seconds',
      help: 'From asking for a stream until its first block.',
      buckets: latencySeconds,
      registers,
    }),
    resumes: outcomes(
      'sse_probe_resumes_total',
      'Resumes, forced and other, by outcome: ok, gap (announced by the stream), lost (a stored canary was missing when the stream said that it was live).',
      ['ok', 'gap', 'lost'],
    ),
    /** Made only for a front door with a certificate: without one there is no such series. */
    certificateExpiry: () =>
      new Gauge({
        name: 'sse_probe_certificate_expiry_seconds',
        help: 'Until when the front door’s certificate is valid, seconds since 1970; NaN until it was read; absent without PROBE_CERTIFICATE_URL on plain http.',
        registers,
      }),
  }
}
