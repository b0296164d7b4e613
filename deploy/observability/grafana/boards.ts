import type { Board } from './board.ts'
import { connections } from './boards/connections.ts'
import { delivery } from './boards/delivery.ts'
import { loadTest } from './boards/load-test.ts'
import { log } from './boards/log.ts'
import { nats } from './boards/nats.ts'
import { nginx } from './boards/nginx.ts'
import { overview } from './boards/overview.ts'

/** All boards, in the order in which an operator meets them. */
export const boards: Board[] = [overview, delivery, connections, log, nginx, nats, loadTest]
