import { provideChromium } from './chromium.ts'
import { down } from './down.ts'
import { logs } from './logs.ts'
import { status } from './status.ts'
import { provideTools } from './tools.ts'
import { up } from './up.ts'

// `make up`, `down`, `status` and `logs`; and what `make test` needs before it can start.

const say = (text: string) => console.log(text)
const tools = async () => {
  await provideTools(say)
  await provideChromium(say)
}
const commands = { up, down, status, logs, tools }
const name = process.argv[2] ?? ''

if (!Object.hasOwn(commands, name)) {
  console.error(`Usage: node deploy/local/main.ts ${Object.keys(commands).join('|')}`)
  process.exit(2)
}
try {
  await commands[name as keyof typeof commands]()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
