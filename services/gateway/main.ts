import { createLog } from '../common/log.ts'
import { readGatewaySettings } from './config.ts'
import { startGateway } from './gateway.ts'

const log = createLog('gateway', process.env.LOG_LEVEL || 'info')
try {
  const gateway = await startGateway(readGatewaySettings(process.env), log)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, async () => {
      await gateway.stop()
      process.exit(0)
    })
  }
} catch (error) {
  log.fatal(error instanceof Error ? error.message : String(error))
  process.exit(1)
}
