import { expect, it } from 'vitest'
import { descriptorsMissing } from '../../loadtest/descriptors.ts'

const fanout = { CONNECTIONS: '20000' }

it('a load test that fits is begun', async () => {
  expect(await descriptorsMissing(fanout, 20_200)).toBeUndefined()
  expect(await descriptorsMissing({ ...fanout, HTTP2: '1' }, 1024)).toBeUndefined()
  expect(await descriptorsMissing({ ...fanout, RUNNERS: '2' }, 20_000)).toBeUndefined()
  expect(await descriptorsMissing({}, 1024)).toBeUndefined()
})

it('one that needs more descriptors than a process may have is not, and is told every way out', async () => {
  const told = await descriptorsMissing(fanout, 20_000)
  expect(told).toContain('20000 streams need 20200 descriptors, and a process here may have 20000')
  for (const way of ['ulimit -n 65536', 'CONNECTIONS=19800', 'HTTP2=1', 'several k6 processes'])
    expect(told).toContain(way)
  expect(await descriptorsMissing({ ...fanout, HTTP2: '1' }, 300)).toContain('CONNECTIONS=10000')
})

it('the limit of this process is known', async () => {
  expect(await descriptorsMissing({ CONNECTIONS: '1' })).toBeUndefined()
})
