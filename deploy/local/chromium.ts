import { existsSync } from 'node:fs'
import { aptInstall, canAptInstall, onPath } from './tools.ts'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']
const macPaths = ['Google Chrome', 'Chromium'].map((app) => `/Applications/${app}.app/Contents/MacOS/${app}`)

export const howToGetChromium =
  'Install Chromium or Chrome (Debian: apt-get install chromium), or name one in the variable CHROMIUM.'

/** Where Chromium or Chrome is: the variable CHROMIUM, else on PATH. Undefined when there is none. */
export function findChromium(): string | undefined {
  const { CHROMIUM } = process.env
  if (CHROMIUM) return existsSync(CHROMIUM) ? CHROMIUM : undefined
  for (const name of names) {
    const path = onPath(name)
    if (path) return path
  }
  return macPaths.find((path) => existsSync(path))
}

/** Installs Chromium for the browser tests where that is possible; else says that they will be skipped. */
export async function provideChromium(say: (text: string) => void): Promise<void> {
  if (findChromium()) return
  const output = canAptInstall() ? await aptInstall('chromium', say) : ''
  if (!findChromium())
    say(`There is no Chromium: the tests that need it will be skipped. ${howToGetChromium}\n${output}`.trim())
}
