import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

/** Where Chromium is: the variable CHROMIUM, else Debian's. Undefined when there is none. */
export function chromiumPath(): string | undefined {
  const path = process.env.CHROMIUM || '/usr/bin/chromium'
  return existsSync(path) ? path : undefined
}

/** True when browser tests can run; says once on standard error why not. */
export function haveBrowser(): boolean {
  if (chromiumPath()) return true
  console.warn(
    `No Chromium at ${process.env.CHROMIUM || '/usr/bin/chromium'}: the browser tests are skipped. ` +
      'Install it (Debian: apt-get install chromium), or name one in the variable CHROMIUM.',
  )
  return false
}

// A test browser talks to nobody but the page: no updates, no sync, no QUIC to guess at.
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
]

/** Starts the installed Chromium. @throws when there is none. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = chromiumPath()
  if (!executablePath) throw new Error('No Chromium: install it or name one in the variable CHROMIUM.')
  return await chromium.launch({ executablePath, args: flags })
}
