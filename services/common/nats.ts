import { readFileSync } from 'node:fs'
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
} from '@nats-io/transport-node'
import type { Log } from './log.ts'
import { listOf } from './settings.ts'

export interface NatsSettings {
  NATS_URL: string
  NATS_CREDENTIALS_FILE: string
  NATS_USER: string
  NATS_PASSWORD: string
  NATS_CA_FILE: string
}

const retryMs = 250

/**
 * Connects to NATS and never gives up: at start it waits for the first server, later it reconnects for ever.
 * A service stays up without NATS (live, not ready) instead of restarting in a loop. `onChange` is told whether there
 * is a connection each time that changes.
 */
export async function connectNats(
  settings: NatsSettings,
  name: string,
  log: Log,
  onChange: (connected: boolean) => void = () => undefined,
): Promise<NatsConnection> {
  const connection = await connectFirst(log, {
    name,
    servers: listOf(settings.NATS_URL),
    maxReconnectAttempts: -1,
    // Else two refusals in a row, as of a server that is busy starting, would end the connection for good.
    ignoreAuthErrorAbort: true,
    // Short and jittered: a log that is back must be read again within seconds, by all pods but not at once.
    reconnectTimeWait: retryMs,
    reconnectJitter: retryMs,
    // A server (or a balancer before it) that takes the connection and stays silent must not cost the default of 20 s.
    timeout: 2_000,
    // A dead link is noticed after two missed pings.
    pingInterval: 5_000,
    maxPingOut: 2,
    ignoreClusterUpdates: false,
    ...(settings.NATS_USER ? { user: settings.NATS_USER, pass: settings.NATS_PASSWORD } : {}),
    ...(settings.NATS_CREDENTIALS_FILE
      ? { authenticator: credsAuthenticator(readFileSync(settings.NATS_CREDENTIALS_FILE)) }
      : {}),
    ...(settings.NATS_CA_FILE ? { tls: { caFile: settings.NATS_CA_FILE } } : {}),
  })
  onChange(true)
  void connection.closed().then((error) => {
    if (!error) return
    // Nothing here can mend that; whoever runs the service starts it again.
    log.fatal({ error: String(error) }, 'the connection to NATS ended for good')
    process.exit(1)
  })
  void followStatus(connection, log, onChange)
  return connection
}

/** Tries until a server takes the connection; says why not, once for each reason. */
async function connectFirst(log: Log, options: ConnectionOptions): Promise<NatsConnection> {
  for (let said = ''; ; ) {
    try {
      return await connect(options)
    } catch (error) {
      const reason = String(error)
      if (reason !== said)
        log.warn({ servers: options.servers, error: reason }, 'NATS can’t be reached yet; trying again')
      said = reason
      await new Promise((resolve) => setTimeout(resolve, retryMs * (1 + Math.random())))
    }
  }
}

async function followStatus(
  connection: NatsConnection,
  log: Log,
  onChange: (connected: boolean) => void,
): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === 'disconnect') onChange(false)
    else if (status.type === 'reconnect') onChange(true)
    if (status.type === 'disconnect') log.warn({ server: status.server }, 'NATS is away; reconnecting')
    else if (status.type === 'reconnect') log.info({ server: status.server }, 'NATS is back')
    else if (status.type === 'error') log.warn({ error: String(status.error) }, 'NATS reports an error')
  }
}
