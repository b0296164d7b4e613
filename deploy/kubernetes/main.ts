import { deploy } from './deploy.ts'
import { undeploy } from './undeploy.ts'

// `make deploy` and `make undeploy`, to kubectl's current context.

const commands = { deploy, undeploy }
const name = process.argv[2] ?? ''

if (!Object.hasOwn(commands, name)) {
  console.error(`Usage: node deploy/kubernetes/main.ts ${Object.keys(commands).join('|')}`)
  process.exit(2)
}
try {
  await commands[name as keyof typeof commands]()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
