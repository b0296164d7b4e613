import { describe, expect, test } from 'vitest'
import { parsePlace } from '../../services/gateway/log-reader.ts'

const place = { sequence: 10_482, delivered: 45, timeMs: 1_795_382_622_618, pending: 7 }
const tail = '1.10482.45.1795382622618428650.7'

describe('the place of a delivery is read', () => {
  test.each([
    ['from the form without a domain', `$JS.ACK.EVENTS.gateway-tail-1.${tail}`],
    ['from the form with domain and account', `$JS.ACK.hub.ACCOUNT.EVENTS.gateway-tail-1.${tail}`],
    ['from the form with a random token at the end', `$JS.ACK._.ACCOUNT.EVENTS.gateway-tail-1.${tail}.x7`],
  ])('%s', (_, reply) => {
    expect(parsePlace(reply)).toEqual(place)
  })

  test.each(['$JS.FC.EVENTS.x', '_INBOX.a.b', '$JS.ACK.too.short', ''])('and not from %j', (reply) => {
    expect(parsePlace(reply)).toBeUndefined()
  })

  test('of a short reply after a long one', () => {
    parsePlace(`$JS.ACK._.ACCOUNT.EVENTS.gateway-tail-1.${tail}.x7`)
    expect(parsePlace(`$JS.ACK.EVENTS.c.1.3.2.1795382622618428650.0`)).toEqual({
      ...place,
      sequence: 3,
      delivered: 2,
      pending: 0,
    })
  })
})
