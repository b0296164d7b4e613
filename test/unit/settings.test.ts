import { Type } from 'typebox'
import { expect, test } from 'vitest'
import {
  choice,
  flag,
  listOf,
  port,
  readSettings,
  SettingsError,
  text,
  whole,
} from '../../services/common/settings.ts'
import { readGatewaySettings } from '../../services/gateway/config.ts'
import { readPublisherSettings } from '../../services/publisher/config.ts'

const table = Type.Object({
  PORT: port(3001, ''),
  WINDOW_MS: whole(5, 1, 10, ''),
  RATE: Type.Number({ default: 0.5, minimum: 0, maximum: 2 }),
  OPEN: flag(false, ''),
  MODE: choice(['jwt', 'off'], 'jwt', ''),
  NAME: text('EVENTS', ''),
  JWT_SECRET: Type.String({ default: '', maxLength: 3 }),
})

const defaults = {
  PORT: 3001,
  WINDOW_MS: 5,
  RATE: 0.5,
  OPEN: false,
  MODE: 'jwt',
  NAME: 'EVENTS',
  JWT_SECRET: '',
}

test('what is not set, or empty, has its default', () => {
  expect(readSettings(table, {})).toEqual(defaults)
  expect(readSettings(table, { PORT: '', NAME: ' ', MODE: undefined })).toEqual(defaults)
})

test('values are read as what they are, spaces around them apart', () => {
  const settings = {
    PORT: ' 80 ',
    WINDOW_MS: '10',
    RATE: '1.25',
    OPEN: 'true',
    MODE: 'off',
    NAME: '5',
    OTHER: 'x',
  }
  expect(readSettings(table, settings)).toEqual({
    PORT: 80,
    WINDOW_MS: 10,
    RATE: 1.25,
    OPEN: true,
    MODE: 'off',
    NAME: '5',
    JWT_SECRET: '',
  })
  expect(readSettings(table, { OPEN: '0' }).OPEN).toBe(false)
})

test.each([
  ['PORT', 'http', 'PORT: "http" must be a whole number from 0 to 65535'],
  ['PORT', '65536', 'PORT: "65536" must be a whole number from 0 to 65535'],
  ['WINDOW_MS', '0', 'WINDOW_MS: "0" must be a whole number from 1 to 10'],
  ['WINDOW_MS', '11', 'from 1 to 10'],
  ['WINDOW_MS', '3.7', 'from 1 to 10'],
  ['WINDOW_MS', '1e1', 'from 1 to 10'],
  ['WINDOW_MS', 'true', 'from 1 to 10'],
  ['WINDOW_MS', '5s', 'from 1 to 10'],
  ['RATE', '2.5', 'RATE: "2.5" must be a number from 0 to 2'],
  ['RATE', 'NaN', 'from 0 to 2'],
  ['OPEN', 'yes', 'OPEN: "yes" must be true or false'],
  ['MODE', 'of', 'MODE: "of" must be one of jwt, off'],
])('%s=%s is refused with its name and what is allowed', (name, value, message) => {
  expect(() => readSettings(table, { [name]: value })).toThrow(SettingsError)
  expect(() => readSettings(table, { [name]: value })).toThrow(message)
})

test('every bad setting is named at once', () => {
  expect(() => readSettings(table, { PORT: 'x', WINDOW_MS: '99' })).toThrow(/PORT: .*; WINDOW_MS: /)
})

test('the value of a secret is not shown', () => {
  expect(() => readSettings(table, { JWT_SECRET: 'hush!' })).toThrow(/JWT_SECRET/)
  expect(() => readSettings(table, { JWT_SECRET: 'hush!' })).not.toThrow(/hush/)
})

const services = { gateway: readGatewaySettings, publisher: readPublisherSettings }
test.each(Object.entries(services))(
  'the %s refuses settings that do not fit together, and names them',
  (_, read) => {
    for (const bad of ['app.example.com', 'https://app.example.com/', 'https://*.example.com', 'null'])
      expect(() => read({ CORS_ORIGINS: `https://a.example,${bad}` })).toThrow(`CORS_ORIGINS: "${bad}"`)
    expect(read({ CORS_ORIGINS: 'https://a.example, http://localhost:3000' })).toBeTruthy()
    const age = { STREAM_MAX_AGE_MS: '60000' }
    expect(() => read(age)).toThrow(
      'STREAM_DEDUPE_WINDOW_MS (120000) is greater than STREAM_MAX_AGE_MS (60000)',
    )
    expect(read({ ...age, STREAM_DEDUPE_WINDOW_MS: '60000' })).toBeTruthy()
    expect(read({ STREAM_MAX_AGE_MS: '0' })).toBeTruthy()
  },
)

test('a list is split at commas, and an empty one is empty', () => {
  expect(listOf(' a , b,,c')).toEqual(['a', 'b', 'c'])
  expect(listOf('')).toEqual([])
})
