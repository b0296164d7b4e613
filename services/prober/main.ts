import { createLog } from '../common/log.ts'
import { serveOperations } from '../common/operations.ts'
import { readProberSettings } from './config.ts'
import { Prober } from './prober.ts'

const log = createLog('prober', process.env.LOG_LEVEL || 'info')
try {
  const settings = readProberSettings(process.env)
  const prober = new Prober(settings, log)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, async () => {
      await prober.stop()
      process.exit(0)
    })
  }
  await serveOperations(settings.HOST, settings.METRICS_PORT, prober.metrics.registry, prober)
  prober.start()
} catch (error) {
  log.fatal(error instanceof Error ? error.message : String(error))
  process.exit(1)
}
