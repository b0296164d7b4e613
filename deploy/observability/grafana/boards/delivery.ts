import type { Board } from '../board.ts'
import { lines, stat } from '../panel.ts'

const only = 'job=~"$job", instance=~"$instance"'
const quantile = (q: number, name: string) =>
  `histogram_quantile(${q}, sum by (le) (rate(${name}_bucket{${only}}[$__rate_interval])))`

/** How an event gets from the log to the sockets, and how long each step takes. */
export const delivery: Board = {
  uid: 'sse-delivery',
  title: 'SSE · Delivery',
  description: 'How fast, how much and in which portions events go from the log to the streams.',
  choose: 'sse_connections',
  sections: [
    {
      title: 'How fast',
      panels: [
        stat({
          title: 'p99, log to streams (5 min)',
          help: '99 of 100 events were written to all their live streams within this time of being stored, over all gateways.',
          unit: 's',
          queries: [['sse:delivery_latency_seconds:p99_5m']],
          steps: [['green'], ['yellow', 0.25], ['red', 1]],
          height: 7,
        }),
        lines({
          title: 'From the log to all live streams',
          help: 'Over the chosen gateways. The time includes the way from NATS; clocks of different machines must agree.',
          unit: 's',
          width: 10,
          queries: [
            [quantile(0.5, 'sse_delivery_latency_seconds'), '50 %'],
            [quantile(0.95, 'sse_delivery_latency_seconds'), '95 %'],
            [quantile(0.99, 'sse_delivery_latency_seconds'), '99 %'],
          ],
          steps: [['green'], ['red', 1]],
        }),
        lines({
          title: 'p99 by gateway',
          help: 'One line above the others is one gateway that is slow: look at its event loop and its behind streams.',
          unit: 's',
          width: 10,
          queries: [
            [
              `histogram_quantile(0.99, sum by (le, instance) (rate(sse_delivery_latency_seconds_bucket{${only}}[$__rate_interval])))`,
              '{{instance}}',
            ],
          ],
          steps: [['green'], ['red', 1]],
        }),
      ],
    },
    {
      title: 'How much',
      panels: [
        lines({
          title: 'Events delivered',
          help: 'Events written to streams, live and replayed, by gateway: an event that goes to a thousand streams counts a thousand times.',
          unit: 'eps',
          queries: [
            [
              `sum by (instance) (rate(sse_events_delivered_total{${only}}[$__rate_interval]))`,
              '{{instance}}',
            ],
          ],
        }),
        lines({
          title: 'Bytes delivered',
          help: 'Bytes of events written to streams, by gateway. Compare with what the network of the machine can carry.',
          unit: 'binBps',
          queries: [
            [
              `sum by (instance) (rate(sse_bytes_delivered_total{${only}}[$__rate_interval]))`,
              '{{instance}}',
            ],
          ],
        }),
        lines({
          title: 'Streams that each stored event reaches',
          help: 'Delivered divided by stored: the fan-out. It falls when clients leave, or when gateways do not deliver.',
          unit: 'short',
          queries: [
            [
              `sum(rate(sse_events_delivered_total{${only}}[$__rate_interval])) / sum(rate(sse_publishes_total{outcome="stored"}[$__rate_interval]))`,
              'fan-out',
            ],
          ],
        }),
      ],
    },
    {
      title: 'In which portions',
      panels: [
        lines({
          title: 'Time of a flush',
          help: 'A flush writes what arrived together to all streams. It takes longer under load, and then carries more: that is how throughput rises.',
          unit: 's',
          queries: [
            [quantile(0.5, 'sse_flush_seconds'), '50 %'],
            [quantile(0.99, 'sse_flush_seconds'), '99 %'],
          ],
        }),
        lines({
          title: 'Events per flush',
          help: '1 at low rates. More under load is healthy; hundreds mean that the event loop is busy.',
          unit: 'short',
          queries: [
            [
              `sum(rate(sse_flush_events_sum{${only}}[$__rate_interval])) / sum(rate(sse_flush_events_count{${only}}[$__rate_interval]))`,
              'average',
            ],
            [quantile(0.99, 'sse_flush_events'), '99 %'],
          ],
        }),
        lines({
          title: 'Flushes, joins, writes',
          help: 'Joins: frames joined once for a group of streams with the same topics. Writes: to sockets. Many joins per flush mean many different topic sets.',
          unit: 'cps',
          queries: [
            [`sum(rate(sse_flushes_total{${only}}[$__rate_interval]))`, 'flushes'],
            [`sum(rate(sse_flush_joins_total{${only}}[$__rate_interval]))`, 'joins'],
            [`sum(rate(sse_flush_writes_total{${only}}[$__rate_interval]))`, 'writes'],
          ],
        }),
      ],
    },
    {
      title: 'Who is behind, and why',
      panels: [
        lines({
          title: 'Streams that are not live',
          help: 'behind: catching up from memory; blocked: the client does not read; early: it has read more at another gateway; replaying: catching up from the log. A few at any time are normal.',
          unit: 'short',
          stacked: true,
          queries: [[`sum by (state) (sse_connections{state!="live", ${only}})`, '{{state}}']],
        }),
        lines({
          title: 'How far behind, in events',
          help: 'Places in the log that the stream furthest behind still has before it, by gateway. One slow reader is enough for a high line; it harms nobody else.',
          unit: 'short',
          queries: [[`sse_behind_events{${only}}`, '{{instance}}']],
        }),
        lines({
          title: 'Memory held for slow readers',
          help: 'Bytes that sockets which push back still hold, and the limit. Beyond the limit those stalled longest are closed.',
          unit: 'bytes',
          queries: [
            [`sse_unsent_bytes{${only}}`, '{{instance}}'],
            [`min(sse_unsent_bytes_limit{${only}})`, 'limit'],
          ],
        }),
      ],
    },
    {
      title: 'What it costs',
      panels: [
        lines({
          title: 'CPU',
          help: 'Cores used by each gateway. One is all that a gateway can use for its event loop: scale out before it gets there.',
          unit: 'short',
          queries: [
            [`rate(process_cpu_seconds_total{job="gateway", ${only}}[$__rate_interval])`, '{{instance}}'],
          ],
          steps: [['green'], ['red', 0.85]],
        }),
        lines({
          title: 'Event-loop delay',
          help: 'The worst delay of each second: in half of the seconds it was at most this. Everything a gateway does is late by as much; above 0.5 s somebody is told.',
          unit: 's',
          queries: [
            [
              `histogram_quantile(0.5, sum by (instance, le) (rate(sse_event_loop_delay_seconds_bucket{job="gateway", ${only}}[$__rate_interval])))`,
              '{{instance}}',
            ],
          ],
          steps: [['green'], ['red', 0.5]],
        }),
        lines({
          title: 'Resident memory',
          help: 'Has a bound that follows from the settings (docs/architecture.md): recent log, unsent bytes, replay, and a few KB per stream.',
          unit: 'bytes',
          queries: [[`process_resident_memory_bytes{job="gateway", ${only}}`, '{{instance}}']],
        }),
      ],
    },
  ],
}
