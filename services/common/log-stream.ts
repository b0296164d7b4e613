import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from '@nats-io/jetstream'
import { newEpoch } from '../contract/event-id.ts'
import { epochKey, streamSubjects } from '../contract/stream.ts'
import type { Log } from './log.ts'

export interface StreamSettings {
  STREAM_NAME: string
  STREAM_REPLICAS: number
  STREAM_MAX_AGE_MS: number
  STREAM_MAX_BYTES: number
  STREAM_DEDUPE_WINDOW_MS: number
}

/** What a pod has to know of the log: its incarnation and the sequences that it holds. */
export interface LogState {
  epoch: string
  /** The oldest sequence kept; one more than the last when the log is empty. */
  firstSequence: number
  /** The newest sequence ever given, 0 for a new log. */
  lastSequence: number
  /** Names of the servers whose copy of the log is known to be behind. */
  behind: readonly string[]
}

const streamNotFound = 10059
const streamNameInUse = 10058
const nanos = 1_000_000

/** Reads the log's state, and creates the stream, or its epoch, where they are missing. */
export async function openLogStream(
  manager: JetStreamManager,
  settings: StreamSettings,
  log: Log,
): Promise<LogState> {
  const name = settings.STREAM_NAME
  let info = (await streamInfo(manager, name)) ?? (await createStream(manager, settings, log))
  if (supportsMetadata(info) && info.config.metadata?.[epochKey] === undefined) {
    info = await writeEpoch(manager, info, newEpoch())
    log.info({ stream: name, epoch: epochOf(info) }, 'the stream had no epoch; it has one now')
  }
  return logState(info)
}

/** Reads the log's state. @throws when the stream does not exist or JetStream does not answer. */
export async function readLogState(manager: JetStreamManager, name: string): Promise<LogState> {
  return logState(requireLeader(await manager.streams.info(name)))
}

/**
 * The position just before the first event stored at `timeMs` or later. The server finds it when it creates a consumer
 * there; nothing is read.
 */
export async function readPositionAt(
  manager: JetStreamManager,
  name: string,
  timeMs: number,
): Promise<number> {
  const consumer = await manager.consumers.add(name, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(timeMs).toISOString(),
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: 5_000 * nanos,
  })
  manager.consumers.delete(name, consumer.name).catch(() => undefined)
  return consumer.delivered.stream_seq
}

/**
 * Gives a rolled-back log a new epoch: its sequences will be used again for other events, so ids of the old
 * incarnation must not be taken for new ones. Whoever notices first does it; `knownEpoch` guards against doing it
 * twice, and what stands in the metadata afterwards is what counts.
 */
export async function renewEpoch(
  manager: JetStreamManager,
  name: string,
  knownEpoch: string,
): Promise<LogState> {
  const info = requireLeader(await manager.streams.info(name))
  if (epochOf(info) !== knownEpoch || !supportsMetadata(info)) return logState(info)
  return logState(await writeEpoch(manager, info, newEpoch()))
}

/** @throws when JetStream does not answer. */
export async function streamExists(manager: JetStreamManager, name: string): Promise<boolean> {
  return (await streamInfo(manager, name)) !== undefined
}

async function streamInfo(manager: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return requireLeader(await manager.streams.info(name))
  } catch (error) {
    if (isStreamMissing(error)) return undefined
    throw error
  }
}

/** True for the answer of a JetStream that has no such stream; not for one that does not answer. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === streamNotFound
}

/**
 * Between two leaders any replica answers for the stream (nats-server's jsStreamInfoRequest), with what it has applied
 * so far: events that were acknowledged and delivered may be missing there, as after a rollback.
 *
 * @throws when the answer is not a leader's.
 */
function requireLeader(info: StreamInfo): StreamInfo {
  if (info.cluster && !info.cluster.leader) throw new Error('the log has no leader right now')
  return info
}

async function createStream(
  manager: JetStreamManager,
  settings: StreamSettings,
  log: Log,
): Promise<StreamInfo> {
  const config = {
    name: settings.STREAM_NAME,
    subjects: [streamSubjects],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    // Old events make room for new ones; a subscriber that still wanted them is told so by a `$gap`.
    discard: DiscardPolicy.Old,
    num_replicas: settings.STREAM_REPLICAS,
    max_age: settings.STREAM_MAX_AGE_MS * nanos,
    max_bytes: settings.STREAM_MAX_BYTES,
    duplicate_window: settings.STREAM_DEDUPE_WINDOW_MS * nanos,
    allow_direct: true,
  }
  // Newest features first; an older server gets what it knows, and the log says what is missing.
  const attempts = [
    { missing: undefined, config: { ...config, metadata: { [epochKey]: newEpoch() }, allow_atomic: true } },
    { missing: 'atomic batches (NATS 2.12)', config: { ...config, metadata: { [epochKey]: newEpoch() } } },
    { missing: 'atomic batches (NATS 2.12), stored epochs (NATS 2.10)', config },
  ]
  let failure: unknown
  for (const attempt of attempts) {
    try {
      const info = await manager.streams.add(attempt.config)
      log.info({ stream: config.name, epoch: epochOf(info), missing: attempt.missing }, 'created the stream')
      return info
    } catch (error) {
      // Another pod was quicker: its stream is ours.
      if (error instanceof JetStreamApiError && error.code === streamNameInUse)
        return await manager.streams.info(config.name)
      if (error instanceof JetStreamApiError) throw error
      failure = error
    }
  }
  throw failure
}

async function writeEpoch(manager: JetStreamManager, info: StreamInfo, epoch: string): Promise<StreamInfo> {
  await manager.streams.update(info.config.name, { metadata: { ...info.config.metadata, [epochKey]: epoch } })
  // Two pods may write at once. The later one counts, so both look again when both have surely written.
  await new Promise((resolve) => setTimeout(resolve, 300))
  return await manager.streams.info(info.config.name)
}

/** Servers before 2.10 have no stream metadata (they answer without the field that newer ones always fill). */
function supportsMetadata(info: StreamInfo): boolean {
  return info.config.metadata !== undefined
}

/** Without metadata the stream's birth stands in: it tells a recreated stream, but not a rolled-back one. */
function epochOf(info: StreamInfo): string {
  return info.config.metadata?.[epochKey] ?? `t${new Date(info.created).getTime().toString(36)}`
}

function logState(info: StreamInfo): LogState {
  const { first_seq: first, last_seq: last, messages } = info.state
  const replicas = info.cluster?.replicas ?? []
  return {
    epoch: epochOf(info),
    firstSequence: messages === 0 ? last + 1 : first,
    lastSequence: last,
    behind: replicas.filter(({ current }) => !current).map(({ name }) => name),
  }
}
