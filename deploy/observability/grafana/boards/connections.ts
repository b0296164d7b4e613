import type { Board } from '../board.ts'
import { bars, lines, stat } from '../panel.ts'

const only = 'job=~"$job", instance=~"$instance"'

/** Who is connected where, why streams end, and whether clients come back faster than they should. */
export const connections: Board = {
  uid: 'sse-connections',
  title: 'SSE · Connections and storms',
  description: 'Streams by gateway and state, why they end or are refused, storms, drains and limits.',
  choose: 'sse_connections',
  sections: [
    {
      title: 'Who is connected where',
      panels: [
        lines({
          title: 'Open streams by gateway',
          help: 'Even lines are healthy. A gateway that restarted fills up within the greatest age of a stream (10 min).',
          unit: 'short',
          queries: [[`instance:sse_connections:sum{${only}}`, '{{instance}}']],
        }),
        lines({
          title: 'Open streams by state',
          help: 'Nearly all should be live. docs/architecture.md explains the states.',
          unit: 'short',
          stacked: true,
          queries: [[`sum by (state) (sse_connections{${only}})`, '{{state}}']],
        }),
        lines({
          title: 'Distinct topic sets',
          help: 'Streams with the same topics share their work. As many sets as streams means that each wants something else, and costs more.',
          unit: 'short',
          queries: [[`sum by (instance) (sse_groups{${only}})`, '{{instance}}']],
        }),
      ],
    },
    {
      title: 'How streams begin and end',
      panels: [
        lines({
          title: 'Streams that begin',
          help: 'By gateway. In the normal rotation each stream begins anew once in 8 to 10 minutes.',
          unit: 'cps',
          queries: [
            [`sum by (instance) (rate(sse_connects_total{${only}}[$__rate_interval]))`, '{{instance}}'],
          ],
        }),
        lines({
          title: 'Streams that end, by reason',
          help: 'client-gone: the other side left; max-age: the normal rotation; draining: a deploy; token-expired; too-slow: took nothing for too long; write-failed: the socket broke.',
          unit: 'cps',
          stacked: true,
          queries: [
            [`sum by (reason) (rate(sse_connections_closed_total{${only}}[$__rate_interval]))`, '{{reason}}'],
          ],
        }),
        lines({
          title: 'Requests refused, by reason',
          help: 'unavailable: draining, full or without the log, and Nginx takes the client elsewhere; the others are mistakes of the client, or its token.',
          unit: 'cps',
          stacked: true,
          queries: [
            [`sum by (reason) (rate(sse_connects_refused_total{${only}}[$__rate_interval]))`, '{{reason}}'],
          ],
        }),
      ],
    },
    {
      title: 'Storms and drains',
      panels: [
        stat({
          title: 'All streams begin anew every',
          help: 'Open streams divided by those that begin each second. The normal rotation is 8 to 10 minutes; below 2 minutes it is a storm.',
          unit: 'dtdurations',
          width: 6,
          height: 7,
          queries: [['sum(sse_connections) / sum(rate(sse_connects_total[5m]))']],
          steps: [['red'], ['green', 120]],
        }),
        lines({
          title: 'Share of streams that begin anew each minute',
          help: 'About 0.1 in the normal rotation; above 0.5 for five minutes it is told as a storm.',
          unit: 'percentunit',
          width: 9,
          queries: [
            ['60 * sum(rate(sse_connects_total[$__rate_interval])) / sum(sse_connections)', 'per minute'],
          ],
          steps: [['green'], ['red', 0.5]],
        }),
        lines({
          title: 'Drains: streams still to be moved',
          help: 'Rises when a gateway is told to stop and falls to 0 within the drain window. A flat line above 0 is a drain that hangs.',
          unit: 'short',
          width: 9,
          queries: [[`sse_drain_remaining{${only}}`, '{{instance}}']],
        }),
      ],
    },
    {
      title: 'Where resumes come from',
      panels: [
        lines({
          title: 'Resumes, by source and outcome',
          help: 'memory is cheap: the recent log reached back far enough. stream is a replay from JetStream. After a deploy nearly all should come from memory. Resumes without a gap: sse_resumes_total.',
          unit: 'cps',
          width: 12,
          queries: [
            [
              `sum by (source, outcome) (rate(sse_replays_total{${only}}[$__rate_interval]))`,
              '{{source}}, {{outcome}}',
            ],
          ],
        }),
        lines({
          title: 'The prober’s own resumes',
          help: 'The prober is made to reconnect again and again: ok, gap (announced) or lost (a canary was missing).',
          unit: 'cps',
          width: 12,
          queries: [['sum by (outcome) (rate(sse_probe_resumes_total[$__rate_interval]))', '{{outcome}}']],
        }),
      ],
    },
    {
      title: 'Limits',
      panels: [
        bars({
          title: 'Places taken, by gateway',
          help: 'Streams against MAX_CONNECTIONS. From 85 % on somebody is told.',
          unit: 'percentunit',
          queries: [
            [
              `instance:sse_connections:sum{${only}} / on (job, instance) sse_connections_limit`,
              '{{instance}}',
            ],
          ],
          steps: [['green'], ['yellow', 0.7], ['red', 0.85]],
        }),
        bars({
          title: 'Descriptors open, by gateway',
          help: 'A stream needs one, and a gateway some 200 more. Without one no connection can be taken.',
          unit: 'percentunit',
          queries: [[`process_open_fds{job="gateway", ${only}} / process_max_fds`, '{{instance}}']],
          steps: [['green'], ['yellow', 0.7], ['red', 0.85]],
        }),
        lines({
          title: 'How even the load is',
          help: 'Fullest less emptiest gateway, divided by the average. Below 0.3 is good; above 1 for twenty minutes somebody is told.',
          unit: 'percentunit',
          queries: [
            [
              '(max(instance:sse_connections:sum) - min(instance:sse_connections:sum)) / avg(instance:sse_connections:sum)',
              'unevenness',
            ],
          ],
          steps: [['green'], ['red', 1]],
        }),
      ],
    },
  ],
}
