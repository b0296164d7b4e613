import type { Board } from '../board.ts'
import { lines, stat } from '../panel.ts'

const only = 'job=~"$job", instance=~"$instance"'

/** The front door, by its own counters (stub_status through nginx-prometheus-exporter). */
export const nginx: Board = {
  uid: 'sse-nginx',
  title: 'SSE · Nginx',
  description: 'Connections and requests of the front door, by Nginx’s own counters.',
  choose: 'nginx_up',
  sections: [
    {
      title: 'Is the door open?',
      panels: [
        stat({
          title: 'Nginx',
          help: 'Whether the exporter can read Nginx’s status page.',
          unit: 'short',
          queries: [[`min(nginx_up{${only}})`]],
          words: { '0': 'down', '1': 'up' },
          steps: [['red'], ['green', 1]],
        }),
        stat({
          title: 'Connections',
          help: 'Connections of clients that are open now: each stream on HTTP/1.1 is one; on HTTP/2 a client’s streams share one. Those to gateways are not counted here, but use up worker_connections too.',
          unit: 'short',
          queries: [[`sum(nginx_connections_active{${only}})`]],
          steps: [['blue']],
        }),
        stat({
          title: 'Turned away (5 min)',
          help: 'Connections that Nginx accepted and had to close at once, because it had no descriptor or connection left (worker_connections). Always 0.',
          unit: 'short',
          width: 6,
          decimals: 0,
          queries: [
            [
              `sum(increase(nginx_connections_accepted{${only}}[5m])) - sum(increase(nginx_connections_handled{${only}}[5m]))`,
            ],
          ],
          steps: [['green'], ['red', 1]],
        }),
        stat({
          title: 'Certificate is valid for',
          help: 'As the prober sees it at the front door (PROBE_CERTIFICATE_URL). A ticket two weeks before the end, a page two days before; below 0 it has expired.',
          empty: 'no TLS watched',
          unit: 'dtdurations',
          width: 10,
          queries: [['min(sse_probe_certificate_expiry_seconds - time())']],
          steps: [['red'], ['yellow', 172_800], ['green', 1_209_600]],
        }),
      ],
    },
    {
      title: 'Connections',
      panels: [
        lines({
          title: 'What clients’ connections do',
          help: 'writing: requests that are being answered, mostly open streams (on HTTP/2 each stream counts); reading: request headers (many for long is a slow-header attack); waiting: kept alive between requests.',
          unit: 'short',
          width: 12,
          height: 8,
          stacked: true,
          queries: [
            [`sum(nginx_connections_writing{${only}})`, 'writing'],
            [`sum(nginx_connections_reading{${only}})`, 'reading'],
            [`sum(nginx_connections_waiting{${only}})`, 'waiting'],
          ],
        }),
        lines({
          title: 'New connections',
          help: 'Accepted and handled should be the same line. A peak is a storm, or a load test.',
          unit: 'cps',
          width: 12,
          height: 8,
          queries: [
            [`sum(rate(nginx_connections_accepted{${only}}[$__rate_interval]))`, 'accepted'],
            [`sum(rate(nginx_connections_handled{${only}}[$__rate_interval]))`, 'handled'],
          ],
        }),
      ],
    },
    {
      title: 'Requests',
      panels: [
        lines({
          title: 'Requests',
          help: 'All requests that Nginx took: streams when they begin, publishing, pages.',
          unit: 'reqps',
          width: 12,
          height: 8,
          queries: [
            [
              `sum by (instance) (rate(nginx_http_requests_total{${only}}[$__rate_interval]))`,
              '{{instance}}',
            ],
          ],
        }),
        lines({
          title: 'Streams: Nginx and gateways',
          help: 'Requests that Nginx is answering, each stream being one on any version of HTTP, beside the streams that the gateways have. They move together; only the first high means that clients wait in Nginx.',
          unit: 'short',
          width: 12,
          height: 8,
          queries: [
            [`sum(nginx_connections_writing{${only}})`, 'being answered by Nginx'],
            ['sum(instance:sse_connections:sum)', 'streams at gateways'],
          ],
        }),
      ],
    },
  ],
}
