import pino, { type Logger } from 'pino'

export type Log = Logger

/**
 * JSON lines on standard output. Request logging is the services' own, since a URL may hold a token. With a level that
 * does not exist it still logs, so that the settings' check can say so.
 */
export function createLog(service: string, wanted: string): Log {
  const level = wanted === 'silent' || wanted in pino.levels.values ? wanted : 'info'
  return pino({ level, base: { service }, timestamp: pino.stdTimeFunctions.isoTime })
}
