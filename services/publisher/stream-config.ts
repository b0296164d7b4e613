import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import type { Log } from '../common/log.ts'
import type { StreamSettings } from '../common/log-stream.ts'

const nanos = 1_000_000

/**
 * Compares an existing stream with the settings, which only its creator applied. With STREAM_UPDATE it is
 * changed to them; otherwise the log names the differences and the stream stays as it is.
 */
export async function fitStream(
  manager: JetStreamManager,
  info: StreamInfo,
  settings: StreamSettings & { STREAM_UPDATE: boolean },
  log: Log,
): Promise<StreamInfo> {
  nameMissing(info, log)
  const wanted: Partial<StreamConfig> = {
    num_replicas: settings.STREAM_REPLICAS,
    max_age: settings.STREAM_MAX_AGE_MS * nanos,
    max_bytes: settings.STREAM_MAX_BYTES,
    duplicate_window: settings.STREAM_DEDUPE_WINDOW_MS * nanos,
  }
  const differences = Object.entries(wanted)
    .filter(([name, value]) => info.config[name as keyof StreamConfig] !== value)
    .map(([name, value]) => ({ name, is: info.config[name as keyof StreamConfig], wanted: value }))
  if (differences.length === 0) return info
  const stream = info.config.name
  if (!settings.STREAM_UPDATE) {
    log.warn({ stream, differences }, 'the stream differs from the settings; STREAM_UPDATE=true changes it')
    return info
  }
  const updated = await manager.streams.update(stream, { ...info.config, ...wanted })
  log.info({ stream, differences }, 'changed the stream to the settings')
  return updated
}

/** An older server drops what it does not know without a word, so the stream itself tells what is missing. */
function nameMissing(info: StreamInfo, log: Log): void {
  const stream = info.config.name
  if (!info.config.allow_atomic)
    log.warn({ stream }, 'no atomic batches: they need NATS 2.12 and a stream with allow_atomic')
  if (info.config.metadata === undefined)
    log.warn({ stream }, 'no stored epoch (needs NATS 2.10): a log that was rolled back is not recognised')
}
