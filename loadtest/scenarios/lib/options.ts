import type { Options } from 'k6/options'
import { number, runners } from './settings.ts'

/** Bounds that a scenario sets itself; each can be set from the environment. */
export interface Bounds {
  /** Greatest p99 of an event's way, milliseconds. `P99_MS` */
  p99Ms: number
  /** Most failed or refused connections. `MAX_CONNECT_ERRORS` */
  connectErrors?: number
  /** Least share of returning clients that go on from their position. `MIN_RESUME_OK` */
  resumeOk?: number
  /**
   * Streams that end before their first block, as a deployment that is full or in a passing condition tells a browser
   * to come back later: none, or `any` where that is ordinary for a moment. At most `MAX_TURNED_AWAY`
   */
  turnedAway?: 'any'
  /** Gaps that were told; 0 unless a scenario provokes them. */
  gaps?: number
}

type Thresholds = NonNullable<Options['thresholds']>

/**
 * The options of a scenario that runs once, in one virtual user per runner: its clients are the swarm's, not k6's. What
 * is promised without condition is a threshold in every scenario.
 */
export function scenarioOptions(name: string, bounds: Bounds, more: Thresholds = {}): Options {
  const resumeOk = bounds.resumeOk === undefined ? undefined : number('MIN_RESUME_OK', bounds.resumeOk)
  const isBounded = bounds.turnedAway !== 'any' || __ENV.MAX_TURNED_AWAY
  const turnedAway = isBounded ? number('MAX_TURNED_AWAY', 0) : undefined
  return {
    // A development certificate; for streams and publishing.
    insecureSkipTLSVerify: __ENV.INSECURE === '1',
    scenarios: {
      [name]: {
        executor: 'per-vu-iterations',
        vus: runners,
        iterations: 1,
        maxDuration: '48h',
        gracefulStop: '30s',
      },
    },
    thresholds: {
      sse_lost: ['count==0'],
      sse_duplicated: ['count==0'],
      sse_out_of_order: ['count==0'],
      sse_unverified: ['count==0'],
      sse_events: ['count>0'],
      sse_gaps: [`count<=${bounds.gaps ?? 0}`],
      sse_latency: [`p(99)<${number('P99_MS', bounds.p99Ms)}`],
      sse_connect_errors: [`count<=${number('MAX_CONNECT_ERRORS', bounds.connectErrors ?? 0)}`],
      ...(turnedAway !== undefined && { sse_turned_away: [`count<=${turnedAway}`] }),
      ...(resumeOk !== undefined && { sse_resume_ok: [`rate>=${resumeOk}`] }),
      // Faults of the script itself, such as a publisher that was refused.
      checks: ['rate==1'],
      ...more,
    },
    summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max'],
  }
}
