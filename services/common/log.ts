import pino, { type Logger } from 'pino'

export type Log = Logger

/** JSON lines on standard output. Request logging is the services' own, since a URL may hold a token. */
export function createLog(service: string, level: string): Log {
  return pino({ level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime })
}
