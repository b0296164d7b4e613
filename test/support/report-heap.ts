// Preloaded into a service under test: on SIGUSR2 it collects all garbage and prints what is left.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

process.on('SIGUSR2', () => {
  collect()
  collect()
  console.log(JSON.stringify({ heapUsedBytes: process.memoryUsage().heapUsed }))
})
