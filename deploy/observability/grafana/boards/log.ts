import type { Board } from '../board.ts'
import { lines, stat } from '../panel.ts'

const only = 'job=~"$job", instance=~"$instance"'
const quantile = (q: number, name: string) =>
  `histogram_quantile(${q}, sum by (le) (rate(${name}_bucket{${only}}[$__rate_interval])))`

/** The log as gateways read it, how far back a resume is cheap, and replays of what is older. */
export const log: Board = {
  uid: 'sse-log',
  title: 'SSE · Log and replay',
  description: 'The log tail, the recent log, gaps, and replays from the stream.',
  choose: 'sse_connections',
  sections: [
    {
      title: 'The log tail',
      panels: [
        lines({
          title: 'Events not read yet',
          help: 'Events in the log that a gateway has not read. 0 is normal, short peaks are bursts.',
          unit: 'short',
          queries: [[`sse_tail_lag_events{${only}}`, '{{instance}}']],
        }),
        lines({
          title: 'How old what is missing is',
          help: 'Age of the events that a gateway has not read. More than 5 s pages.',
          unit: 's',
          queries: [[`sse_tail_lag_seconds{${only}}`, '{{instance}}']],
          steps: [['green'], ['red', 5]],
        }),
        lines({
          title: 'Readers opened',
          help: 'A gateway opens its reader of the log once at start, and again when it was lost: restarts of NATS, changes of the leader, broken links. More than five in half an hour is told.',
          unit: 'short',
          queries: [[`sse_tail_opened_total{${only}}`, '{{instance}}']],
        }),
      ],
    },
    {
      title: 'The recent log: resumes from memory',
      panels: [
        stat({
          title: 'Memory reaches back',
          help: 'Age of the oldest event in memory, at the gateway with the least. Whoever was away for longer is served from the stream.',
          unit: 'dtdurations',
          height: 7,
          queries: [[`min(sse_recent_log_age_seconds{${only}})`]],
          steps: [['blue']],
        }),
        lines({
          title: 'How far back, in seconds',
          help: 'It grows until the memory is full, and then depends on the rate. Keep it above the time that a deploy takes: raise RECENT_LOG_BYTES.',
          unit: 's',
          width: 10,
          queries: [[`sse_recent_log_age_seconds{${only}}`, '{{instance}}']],
        }),
        lines({
          title: 'Memory of the recent log',
          help: 'Bytes held, and the limit (RECENT_LOG_BYTES). Full is normal.',
          unit: 'bytes',
          width: 10,
          queries: [
            [`sse_recent_log_bytes{${only}}`, '{{instance}}'],
            [`min(sse_recent_log_bytes_limit{${only}})`, 'limit'],
          ],
        }),
      ],
    },
    {
      title: 'Replay: resumes from the stream',
      panels: [
        lines({
          title: 'Streams that wait for, or are in, a replay',
          help: 'A few after a restart are normal. Many for long means that the recent log is too short for what clients need.',
          unit: 'short',
          queries: [[`sse_replay_waiting{${only}}`, '{{instance}}']],
        }),
        lines({
          title: 'Waiting for the first page',
          help: 'From asking for a replay until its first page. Above 5 s for 1 in 20 somebody is told.',
          unit: 's',
          queries: [
            [quantile(0.5, 'sse_replay_wait_seconds'), '50 %'],
            [quantile(0.95, 'sse_replay_wait_seconds'), '95 %'],
          ],
          steps: [['green'], ['red', 5]],
        }),
        lines({
          title: 'Time until back in memory',
          help: 'From being behind the recent log until back in it. Grows with how far behind clients are, and with slow readers.',
          unit: 's',
          queries: [
            [quantile(0.5, 'sse_replay_seconds'), '50 %'],
            [quantile(0.95, 'sse_replay_seconds'), '95 %'],
          ],
        }),
        lines({
          title: 'Events replayed',
          help: 'Events written to streams that were read from JetStream for them.',
          unit: 'eps',
          queries: [
            [`sum by (instance) (rate(sse_replay_events_total{${only}}[$__rate_interval]))`, '{{instance}}'],
          ],
        }),
        lines({
          title: 'Resumes, by source and outcome',
          help: 'completed; expired: told of a gap; failed: a read of the stream that is tried again.',
          unit: 'cps',
          queries: [
            [
              `sum by (source, outcome) (rate(sse_replays_total{${only}}[$__rate_interval]))`,
              '{{source}}, {{outcome}}',
            ],
          ],
        }),
        lines({
          title: 'Gaps, by reason',
          help: 'Each is a client that was told that its position can’t be honoured (docs/protocol.md).',
          unit: 'cps',
          queries: [[`sum by (reason) (rate(sse_gaps_total{${only}}[$__rate_interval]))`, '{{reason}}']],
        }),
      ],
    },
  ],
}
