import type { Row } from './row.ts'
import { agreement } from './rows/agreement.ts'
import { connecting, connectingBusy } from './rows/connecting.ts'
import { fanOutRows } from './rows/fan-out.ts'
import { growth } from './rows/growth.ts'
import { idle } from './rows/idle.ts'
import { manyTopics } from './rows/many-topics.ts'
import { throughNginx } from './rows/nginx.ts'
import { overlapping } from './rows/overlapping.ts'
import { publishNdjson, publishSingle } from './rows/publishing.ts'
import { reconnectStorm } from './rows/reconnect-storm.ts'
import { replay } from './rows/replay.ts'
import { stalled } from './rows/stalled.ts'
import { start } from './rows/start.ts'
import { tail } from './rows/tail.ts'

/** All rows, in the order in which they are run and shown. */
export const rows: Row[] = [
  ...fanOutRows,
  manyTopics,
  overlapping,
  tail,
  idle,
  connecting,
  connectingBusy,
  reconnectStorm,
  replay,
  stalled,
  throughNginx,
  start,
  growth,
  publishSingle,
  publishNdjson,
  // With SWARM=<path> only.
  ...(process.env.SWARM ? [agreement] : []),
]
