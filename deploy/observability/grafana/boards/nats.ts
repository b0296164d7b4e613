import type { Board } from '../board.ts'
import { bars, lines, stat } from '../panel.ts'

const only = 'job=~"$job", instance=~"$instance"'

/** The log and its replicas as JetStream tells of them, exported by the publisher. */
export const nats: Board = {
  uid: 'sse-nats',
  title: 'SSE · NATS',
  description: 'The log, its replicas, and publishing, from JetStream’s own API through the publisher.',
  choose: 'sse_log_messages',
  sections: [
    {
      title: 'Can events be stored?',
      panels: [
        stat({
          title: 'Leader',
          help: 'Whether the log has a leader. Without one nothing can be stored or read.',
          unit: 'short',
          queries: [['max(sse_log_leader)']],
          words: { '0': 'none', '1': 'elected' },
          steps: [['red'], ['green', 1]],
        }),
        stat({
          title: 'Replicas missing',
          help: 'Copies of the log that are not up to date, of those that are wanted. One is a ticket: another failure may stop publishing. The board’s last row shows each.',
          unit: 'short',
          queries: [['max(sse_log_replicas) - min(sse_log_replicas_current)']],
          words: { '0': 'none' },
          steps: [['green'], ['red', 1]],
        }),
        stat({
          title: 'Services connected',
          help: 'Share of the services that have a connection to NATS.',
          unit: 'percentunit',
          queries: [['avg(sse_nats_connected)']],
          steps: [['red'], ['green', 1]],
        }),
        stat({
          title: 'Publishes that failed (5 min)',
          help: 'Share of the events handed in that the log did not acknowledge. Above 1 % pages.',
          unit: 'percentunit',
          decimals: 2,
          queries: [
            [
              'sum(rate(sse_publishes_total{outcome="failed"}[5m])) / sum(rate(sse_publishes_total{outcome=~"stored|duplicate|failed"}[5m]))',
            ],
          ],
          steps: [['green'], ['red', 0.01]],
        }),
        stat({
          title: 'The log reaches back',
          help: 'Age of the oldest event that is kept: who was away for longer gets a gap.',
          unit: 'dtdurations',
          queries: [['max(sse_log_age_seconds)']],
          steps: [['blue']],
        }),
        stat({
          title: 'Events in the log',
          help: 'Events that the log keeps now. It grows until age or size is reached.',
          unit: 'short',
          queries: [['max(sse_log_messages)']],
          steps: [['blue']],
        }),
      ],
    },
    {
      title: 'Publishing',
      panels: [
        lines({
          title: 'Events handed in, by outcome',
          help: 'stored; duplicate: the same id again; rejected: wrong input; failed: no acknowledgement, the sender got 503.',
          unit: 'eps',
          stacked: true,
          queries: [
            [`sum by (outcome) (rate(sse_publishes_total{${only}}[$__rate_interval]))`, '{{outcome}}'],
          ],
        }),
        lines({
          title: 'Time to the log’s acknowledgement',
          help: 'With three replicas a majority has written the event. A rise is a slow disk or network of the NATS servers.',
          unit: 's',
          queries: [
            [
              `histogram_quantile(0.5, sum by (le) (rate(sse_publish_ack_seconds_bucket{${only}}[$__rate_interval])))`,
              '50 %',
            ],
            [
              `histogram_quantile(0.99, sum by (le) (rate(sse_publish_ack_seconds_bucket{${only}}[$__rate_interval])))`,
              '99 %',
            ],
          ],
        }),
        lines({
          title: 'The log’s ends',
          help: 'Sequences of the oldest and the newest event. The newest rises with publishing; the oldest follows when age or size is reached.',
          unit: 'short',
          queries: [
            ['max(sse_log_last_sequence)', 'newest'],
            ['max(sse_log_first_sequence)', 'oldest'],
          ],
        }),
      ],
    },
    {
      title: 'The log',
      panels: [
        lines({
          title: 'Size',
          help: 'Bytes of the log. At its limit (STREAM_MAX_BYTES) the oldest events go before their time.',
          unit: 'bytes',
          queries: [['max(sse_log_bytes)', 'log']],
        }),
        bars({
          title: 'Size against its limit',
          help: 'Full is no fault: the log then keeps as much as fits. Look how far it reaches back.',
          unit: 'percentunit',
          queries: [['max(sse_log_bytes / sse_log_bytes_limit)', 'log']],
          steps: [['green'], ['yellow', 0.9]],
        }),
        lines({
          title: 'Consumers',
          help: 'One per gateway, and one per replay that is under way. Many more means that somebody leaves consumers behind.',
          unit: 'short',
          queries: [
            ['max(sse_log_consumers)', 'of the log'],
            ['count(instance:sse_connections:sum)', 'gateways'],
          ],
        }),
      ],
    },
    {
      title: 'JetStream and its servers',
      panels: [
        lines({
          title: 'Replicas',
          help: 'Each server’s copy of the log: 1 while it is up to date. Without replication there is one.',
          unit: 'short',
          max: 1.2,
          queries: [['max by (server) (sse_log_replica_current)', '{{server}}']],
        }),
        lines({
          title: 'How far the furthest copy is behind',
          help: 'Operations that the copy which is furthest behind lacks. Rises while a server is away, falls while it catches up.',
          unit: 'short',
          queries: [['max(sse_log_replica_lag_operations)', 'operations']],
        }),
        lines({
          title: 'Storage',
          help: 'What JetStream uses for the account, on disk and in memory.',
          unit: 'bytes',
          queries: [
            ['max(sse_nats_storage_bytes)', 'disk'],
            ['max(sse_nats_memory_bytes)', 'memory'],
          ],
        }),
        lines({
          title: 'Streams and consumers of the account',
          help: 'Streams: one per log. Consumers: of all streams.',
          unit: 'short',
          queries: [
            ['max(sse_nats_streams)', 'streams'],
            ['max(sse_nats_consumers)', 'consumers'],
          ],
        }),
        lines({
          title: 'Connections of the services',
          help: '1 while the service has a connection to NATS.',
          unit: 'short',
          max: 1.2,
          queries: [['sse_nats_connected', '{{job}} {{instance}}']],
        }),
        lines({
          title: 'JetStream did not answer',
          help: 'Times that JetStream did not tell of the log when asked for these figures. Always 0 while it is healthy.',
          unit: 'cps',
          queries: [
            [
              `sum by (instance) (rate(sse_log_read_failures_total{${only}}[$__rate_interval]))`,
              '{{instance}}',
            ],
          ],
        }),
      ],
    },
  ],
}
