import { createLog } from '../common/log.ts'
import { serveOperations } from '../common/operations.ts'
import { readDemoSettings } from './config.ts'
import { createDemo } from './demo.ts'
import { createDemoMetrics } from './metrics.ts'

try {
  const settings = readDemoSettings(process.env)
  const log = createLog('demo', settings.LOG_LEVEL)
  const metrics = createDemoMetrics()
  const demo = createDemo(settings, metrics, log)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  await serveOperations(settings.HOST, settings.METRICS_PORT, metrics.registry, demo)
  await demo.run(stop.signal)
  log.info('stopped')
  process.exit(0)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
