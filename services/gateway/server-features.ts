import type { NatsConnection } from '@nats-io/transport-node'
import type { Log } from '../common/log.ts'

/**
 * Tells whether the NATS server filters a consumer by several topics, as 2.10 and newer do. Asked each time, since a
 * reconnect may lead to another server. Says at once in the log what a pod of an older one goes without.
 */
export function severalFilters(nats: NatsConnection, log: Log): () => boolean {
  const ask = () => isAtLeast(nats.info?.version ?? '', 2, 10)
  if (!ask())
    log.warn(
      { server: nats.info?.version },
      'before NATS 2.10 a replay of several topics reads the whole log, and a log that was rolled back is not recognised',
    )
  return ask
}

/** `version` as the server says it, such as 2.10.0-beta.1. One that can’t be read counts as new. */
export function isAtLeast(version: string, major: number, minor: number): boolean {
  const [, itsMajor, itsMinor] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  if (itsMajor === undefined) return true
  return Number(itsMajor) > major || (Number(itsMajor) === major && Number(itsMinor) >= minor)
}
