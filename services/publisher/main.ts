import { createLog } from '../common/log.ts'
import { SettingsError } from '../common/settings.ts'
import { readPublisherSettings } from './config.ts'
import { Publisher } from './publisher.ts'

try {
  const settings = readPublisherSettings(process.env)
  const publisher = new Publisher(settings, createLog('publisher', settings.LOG_LEVEL))
  const stop = async () => {
    await publisher.stop()
    process.exit(0)
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  await publisher.start()
} catch (error) {
  console.error(error instanceof SettingsError ? error.message : error)
  process.exit(1)
}
