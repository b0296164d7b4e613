import type { Board } from '../board.ts'
import { bars, lines, stat, text } from '../panel.ts'

const good = (key: string) => `1 - sse:${key}_errors:ratio_rate1h`

/** Five questions, one row each, and the answers in the first line. */
export const overview: Board = {
  uid: 'sse-overview',
  title: 'SSE · Overview',
  description:
    'Are clients connected, are events arriving in time, is anything lost, what is about to break, and what to do.',
  sections: [
    {
      title: 'In one line',
      panels: [
        stat({
          title: 'Open streams',
          help: 'Streams that are open now, over all gateways. Zero in a cluster that is used means that nobody gets anything.',
          unit: 'short',
          queries: [['sum(instance:sse_connections:sum)']],
          steps: [['red'], ['green', 1]],
        }),
        stat({
          title: 'Users have a stream',
          help: 'Share of the last hour in which the prober had a stream through the front door, or one again within 5 s. Goal: 99.9 %.',
          unit: 'percentunit',
          decimals: 2,
          queries: [[good('availability')]],
          steps: [['red'], ['yellow', 0.985], ['green', 0.999]],
        }),
        stat({
          title: 'Delivered within 1 s',
          help: 'In the last hour. gateways: events that were written to all their live streams within a second of being stored. front door: canaries that were back at the prober within one. Only the second low: a proxy on the way buffers or is slow. Goal: 99.9 %.',
          unit: 'percentunit',
          decimals: 2,
          queries: [
            [good('delivery'), 'gateways'],
            [good('probe_delivery'), 'front door'],
          ],
          steps: [['red'], ['yellow', 0.985], ['green', 0.999]],
        }),
        stat({
          title: 'Resumed without a gap',
          help: 'Clients that came back and went on where they were, in the last hour. Goal: 99.9 %.',
          unit: 'percentunit',
          decimals: 2,
          queries: [[good('resume')]],
          steps: [['red'], ['yellow', 0.985], ['green', 0.999]],
        }),
        stat({
          title: 'Lost, twice, out of order (1 h)',
          help: 'Canaries of the prober that were stored and have not come, came twice, or came out of order, in the last hour. Anything but 0 breaks a promise (G1 to G3).',
          unit: 'short',
          decimals: 0,
          queries: [
            [
              'sum(increase(sse_probe_lost_total[1h])) - sum(increase(sse_probe_late_total[1h])) + sum(increase(sse_probe_duplicated_total[1h])) + sum(increase(sse_probe_out_of_order_total[1h]))',
            ],
          ],
          steps: [['green'], ['red', 1]],
        }),
        stat({
          title: 'Alerts',
          help: 'Alerts that fire now: those that page, and those that wait for working hours. The last row names them; each has a runbook.',
          unit: 'short',
          queries: [
            ['count(ALERTS{alertstate="firing", alertname=~"Sse.*", severity="page"}) or vector(0)', 'page'],
            [
              'count(ALERTS{alertstate="firing", alertname=~"Sse.*", severity="ticket"}) or vector(0)',
              'ticket',
            ],
          ],
          steps: [['green'], ['red', 1]],
        }),
      ],
    },
    {
      title: 'Are clients connected?',
      panels: [
        lines({
          title: 'Open streams by gateway',
          help: 'Even lines are healthy: Nginx sends a new stream to the gateway with the fewest, and each stream ends after 10 minutes at most. A line that falls to nothing is a gateway that is gone; the others must rise by as much.',
          unit: 'short',
          queries: [['instance:sse_connections:sum', '{{instance}}']],
        }),
        lines({
          title: 'Streams that begin and end',
          help: 'The two follow each other: about a tenth of the open streams a minute in the normal rotation. Both high at once is a reconnect storm; only ends is an outage.',
          unit: 'cps',
          queries: [
            ['sum(rate(sse_connects_total[$__rate_interval]))', 'begin'],
            ['sum(rate(sse_connections_closed_total[$__rate_interval]))', 'end'],
          ],
        }),
        lines({
          title: 'What a user would see',
          help: '1 while the prober has a stream through the front door and its canaries arrive on it; and the share of processes whose metrics can be read. Both should be 1 all the time.',
          unit: 'percentunit',
          max: 1.05,
          queries: [
            ['sse_probe_connected', 'stream of {{instance}}'],
            ['avg by (job) (up)', '{{job}} up'],
          ],
        }),
      ],
    },
    {
      title: 'Are events arriving in time?',
      panels: [
        lines({
          title: 'From the log to all live streams',
          help: 'Time from the log’s own time of an event until it was written to all its live streams, over all gateways. Above a second the service level is broken.',
          unit: 's',
          queries: [
            [
              'histogram_quantile(0.5, sum by (le) (rate(sse_delivery_latency_seconds_bucket[$__rate_interval])))',
              'half within',
            ],
            ['sse:delivery_latency_seconds:p99_5m', '99 % within (5 min)'],
          ],
          steps: [['green'], ['red', 1]],
        }),
        lines({
          title: 'From a publisher to a user',
          help: 'Time from the prober’s publish request until its canary is back through Nginx: what a user would feel, with storing it.',
          unit: 's',
          queries: [
            [
              'histogram_quantile(0.5, sum by (le) (rate(sse_probe_latency_seconds_bucket[$__rate_interval])))',
              'half within',
            ],
            ['sse:probe_latency_seconds:p99_5m', '99 % within (5 min)'],
          ],
          steps: [['green'], ['red', 1]],
        }),
        lines({
          title: 'Events stored, and delivered',
          help: 'Delivered counts each event once per stream that got it, so it is higher. Stored without delivered means that nobody listens, or that gateways are stuck.',
          unit: 'eps',
          queries: [
            ['sum(rate(sse_publishes_total{outcome="stored"}[$__rate_interval]))', 'stored'],
            ['sum(rate(sse_events_delivered_total[$__rate_interval]))', 'delivered'],
          ],
        }),
      ],
    },
    {
      title: 'Is anything lost?',
      panels: [
        lines({
          title: 'Gaps told to clients',
          help: 'Positions that could not be honoured. expired: the client was away longer than the log keeps; reset: the log was replaced; ahead and malformed: positions that never were. Expired and reset mean lost events; a single expired one may be a laptop that slept.',
          unit: 'cps',
          queries: [['sum by (reason) (rate(sse_gaps_total[$__rate_interval]))', '{{reason}}']],
        }),
        lines({
          title: 'Canaries lost, twice, out of order',
          help: 'The prober’s own account of what it published. Always 0, or a promise is broken.',
          unit: 'cps',
          queries: [
            ['sum(rate(sse_probe_lost_total[$__rate_interval]))', 'lost'],
            ['sum(rate(sse_probe_duplicated_total[$__rate_interval]))', 'twice'],
            ['sum(rate(sse_probe_out_of_order_total[$__rate_interval]))', 'out of order'],
          ],
        }),
        lines({
          title: 'Publishing by outcome',
          help: 'failed: the log did not acknowledge, and the publisher was told so. rejected: wrong input. Events that failed are not lost as long as their sender tries again with the same id.',
          unit: 'eps',
          queries: [['sum by (outcome) (rate(sse_publishes_total[$__rate_interval]))', '{{outcome}}']],
        }),
      ],
    },
    {
      title: 'What is about to break?',
      panels: [
        bars({
          title: 'Nearest to its limit',
          help: 'The fullest process of each kind against its limit. From 85 % on somebody is told; at 100 % clients are sent elsewhere, or closed. The log’s size is not among them: a full log is ordinary (board NATS).',
          unit: 'percentunit',
          queries: [
            ['max(instance:sse_connections:sum / on (job, instance) sse_connections_limit)', 'streams'],
            ['max(process_open_fds{job=~"gateway|publisher"} / process_max_fds)', 'descriptors'],
            ['max(sse_unsent_bytes / sse_unsent_bytes_limit)', 'unsent bytes'],
          ],
          steps: [['green'], ['yellow', 0.7], ['red', 0.85]],
        }),
        lines({
          title: 'How far gateways are behind the log',
          help: 'Age of what a gateway has not read yet; 0 is normal. More than 5 s pages: its clients get everything late.',
          unit: 's',
          queries: [['sse_tail_lag_seconds', '{{instance}}']],
          steps: [['green'], ['red', 5]],
        }),
        lines({
          title: 'Error budget: burn rate (1 h)',
          help: '1 spends exactly the month’s budget of 0.1 %. Above 14.4 it pages after an hour’s evidence, above 6 after six hours’.',
          unit: 'short',
          queries: [
            ['sse:availability_errors:ratio_rate1h / 0.001', 'users have a stream'],
            ['sse:delivery_errors:ratio_rate1h / 0.001', 'within 1 s: gateways'],
            ['sse:probe_delivery_errors:ratio_rate1h / 0.001', 'within 1 s: front door'],
            ['sse:resume_errors:ratio_rate1h / 0.001', 'resumed without a gap'],
          ],
          steps: [['green'], ['yellow', 1], ['red', 14.4]],
        }),
      ],
    },
    {
      title: 'What to do?',
      panels: [
        lines({
          title: 'Alerts that fire',
          help: 'Each alert by its name; a flat line at 0 called “none” when nothing fires. The runbook of an alert is docs/runbooks/<its name>.md.',
          unit: 'short',
          width: 16,
          queries: [
            [
              'sum by (alertname) (ALERTS{alertstate="firing", alertname=~"Sse.*"}) or label_replace(vector(0), "alertname", "none", "", "")',
              '{{alertname}}',
            ],
          ],
        }),
        text({
          title: 'Where to go from here',
          help: 'From a question to the board that answers it.',
          width: 8,
          height: 7,
          content: [
            'An alert fires: `docs/runbooks/<its name>.md` says how it shows, what to ask, what to do.',
            '',
            '- Late events: **Delivery**, then **Log and replay**',
            '- Clients come and go: **Connections and storms**, then **Nginx**',
            '- Gaps, resumes: **Log and replay**',
            '- Publishing fails: **NATS**',
            '- While a load test runs: **Load test (k6)**',
            '',
            'The boards are linked at the top; they keep time and choice.',
          ].join('\n'),
        }),
      ],
    },
  ],
}
