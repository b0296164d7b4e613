import type { JetStreamManager } from '@nats-io/jetstream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import {
  openLogStream,
  readLogState,
  renewEpoch,
  type StreamSettings,
} from '../../services/common/log-stream.ts'

/** As a server answers for a stream whose members have no leader, or have one. */
function answering(leader: string | undefined): JetStreamManager {
  const info = {
    config: { name: 'EVENTS', metadata: { 'sse-epoch': 'e' } },
    state: { first_seq: 1, last_seq: 998, messages: 998 },
    cluster: {
      name: 'c',
      leader,
      replicas: [
        { name: 'n2', current: true },
        { name: 'n3', current: false },
      ],
    },
  }
  return { streams: { info: async () => info } } as unknown as JetStreamManager
}
const settings = { STREAM_NAME: 'EVENTS' } as StreamSettings
const silent = pino({ level: 'silent' })

test('what a replica says while there is no leader is not taken for the state of the log', async () => {
  const manager = answering(undefined)
  await expect(readLogState(manager, 'EVENTS')).rejects.toThrow('no leader')
  await expect(openLogStream(manager, settings, silent)).rejects.toThrow('no leader')
  await expect(renewEpoch(manager, 'EVENTS', 'e')).rejects.toThrow('no leader')
})

test('the state of the log names the servers whose copy is behind', async () => {
  const state = { epoch: 'e', firstSequence: 1, lastSequence: 998, behind: ['n3'] }
  expect(await readLogState(answering('n1'), 'EVENTS')).toEqual(state)
})
