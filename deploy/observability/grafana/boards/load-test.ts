import type { Board } from '../board.ts'
import { lines, stat } from '../panel.ts'

/**
 * What k6 sees (its output `experimental-prometheus-rw`, with the quantiles that loadtest/run.ts asks for) beside what
 * the cluster says of itself.
 */
export const loadTest: Board = {
  uid: 'sse-load-test',
  title: 'SSE · Load test (k6)',
  description:
    'A k6 run as its clients see it, beside the cluster’s own account. Empty while no test writes to Prometheus.',
  sections: [
    {
      title: 'Verdict',
      panels: [
        stat({
          title: 'Streams now',
          help: 'Streams that k6 has open at this moment.',
          unit: 'short',
          queries: [['sum(k6_sse_connections)']],
          steps: [['blue']],
        }),
        stat({
          title: 'Lost',
          help: 'Events that should have come and did not, in the whole run. Always 0.',
          unit: 'short',
          queries: [['sum(k6_sse_lost_total) or vector(0)']],
          steps: [['green'], ['red', 1]],
        }),
        stat({
          title: 'Twice or out of order',
          help: 'Events that came again, or before their time, in the whole run. Always 0.',
          unit: 'short',
          queries: [
            ['(sum(k6_sse_duplicated_total) or vector(0)) + (sum(k6_sse_out_of_order_total) or vector(0))'],
          ],
          steps: [['green'], ['red', 1]],
        }),
        stat({
          title: 'Gaps',
          help: 'Gaps that the streams announced, in the whole run.',
          unit: 'short',
          queries: [['sum(k6_sse_gaps_total) or vector(0)']],
          steps: [['green'], ['red', 1]],
        }),
        stat({
          title: 'Resumed without loss',
          help: 'Share of the reconnects after which the stream went on where it was. Nothing in a run without reconnects.',
          empty: 'no reconnects',
          unit: 'percentunit',
          decimals: 2,
          queries: [['min(k6_sse_resume_ok_rate)']],
          steps: [['red'], ['green', 0.999]],
        }),
        stat({
          title: 'Latency, p99',
          help: '99 of 100 events reached k6 within this time of being published.',
          unit: 's',
          queries: [['max(k6_sse_latency_p99)']],
          steps: [['green'], ['yellow', 0.25], ['red', 1]],
        }),
      ],
    },
    {
      title: 'As the clients see it',
      panels: [
        lines({
          title: 'Streams',
          help: 'Open streams of k6, its virtual users, and what the gateways say.',
          unit: 'short',
          queries: [
            ['sum(k6_sse_connections)', 'k6'],
            ['sum(k6_vus)', 'virtual users'],
            ['sum(instance:sse_connections:sum)', 'gateways'],
          ],
        }),
        lines({
          title: 'Events received',
          help: 'Events that k6 received, and events that the gateways wrote. The two should be one line when nobody else listens.',
          unit: 'eps',
          queries: [
            ['sum(rate(k6_sse_events_total[$__rate_interval]))', 'k6'],
            ['sum(rate(sse_events_delivered_total[$__rate_interval]))', 'gateways'],
          ],
        }),
        lines({
          title: 'Bytes received',
          help: 'Bytes that k6 received, and bytes of events that the gateways wrote.',
          unit: 'binBps',
          queries: [
            ['sum(rate(k6_sse_bytes_total[$__rate_interval]))', 'k6'],
            ['sum(rate(sse_bytes_delivered_total[$__rate_interval]))', 'gateways'],
          ],
        }),
        lines({
          title: 'Latency',
          help: 'From publishing to receiving, as k6 measures it. A quantile is of what came since the run began.',
          unit: 's',
          queries: [
            ['max(k6_sse_latency_p50)', '50 %'],
            ['max(k6_sse_latency_p90)', '90 %'],
            ['max(k6_sse_latency_p99)', '99 %'],
          ],
          steps: [['green'], ['red', 1]],
        }),
        lines({
          title: 'Time to connect, and to the first block',
          help: 'p99 of what a client waits until it has a stream, and until the stream says where it is.',
          unit: 's',
          queries: [
            ['max(k6_sse_connect_duration_p99)', 'connected'],
            ['max(k6_sse_first_block_duration_p99)', 'first block'],
          ],
        }),
        lines({
          title: 'Reconnects and errors',
          help: 'Streams that k6 opened again, and attempts that failed. In a test without injuries both are the rotation and 0.',
          unit: 'cps',
          queries: [
            ['sum(rate(k6_sse_reconnects_total[$__rate_interval])) or vector(0)', 'reconnects'],
            ['sum(rate(k6_sse_connect_errors_total[$__rate_interval])) or vector(0)', 'errors'],
          ],
        }),
      ],
    },
    {
      title: 'As the cluster sees it',
      panels: [
        lines({
          title: 'From the log to all live streams',
          help: 'The gateways’ own measure: what k6 measures beyond it is network, Nginx and k6 itself.',
          unit: 's',
          queries: [['sse:delivery_latency_seconds:p99_5m', '99 % within (5 min)']],
        }),
        lines({
          title: 'CPU of the gateways',
          help: 'Cores used. A gateway at 1 is at its end.',
          unit: 'short',
          queries: [['rate(process_cpu_seconds_total{job="gateway"}[$__rate_interval])', '{{instance}}']],
          steps: [['green'], ['red', 0.85]],
        }),
        lines({
          title: 'Memory of the gateways',
          help: 'Resident memory. Divided by the streams it is what a stream costs.',
          unit: 'bytes',
          queries: [['process_resident_memory_bytes{job="gateway"}', '{{instance}}']],
        }),
      ],
    },
  ],
}
