/** Addresses of views: what is written can be read back, and nonsense shows the desk. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guestTabs, parseRoute, type Route, routeHref } from './route.ts'

const id = fc.string({ minLength: 1, unit: 'grapheme' })
const route: fc.Arbitrary<Route> = fc.oneof(
  fc.constantFrom<Route>(
    { kind: 'desk' },
    { kind: 'moves' },
    { kind: 'vault' },
    { kind: 'settings' },
    { kind: 'new' },
  ),
  fc.record({ kind: fc.constant('checkpoints' as const), guestId: fc.option(id) }),
  fc.record({ kind: fc.constant('receive' as const), link: fc.option(id) }),
  fc.record({ kind: fc.constant('migration' as const), id }),
  fc.record({ kind: fc.constant('pair' as const), id }),
  fc.record({
    kind: fc.constant('guest' as const),
    dockId: id,
    guestId: id,
    tab: fc.constantFrom(...guestTabs),
  }),
)

describe('routes', () => {
  it('reads back every address it writes', () => {
    fc.assert(
      fc.property(route, (each) => {
        expect(parseRoute(routeHref(each))).toEqual(each)
      }),
    )
  })

  it('still knows the moves by the name they had before there were checkpoints', () => {
    expect(parseRoute('#/history')).toEqual({ kind: 'moves' })
  })

  it('carries a whole link to something lent, with its secret, in its own fragment', () => {
    const link = 'wdock:lend?u=https%3A%2F%2Fada.blob.core.windows.net%2Fs1&sig=a%2Fb#c2VjcmV0'
    const href = routeHref({ kind: 'receive', link })
    expect(href).not.toContain('token=')
    expect(parseRoute(new URL(href, 'http://127.0.0.1/').hash)).toEqual({ kind: 'receive', link })
  })

  it('shows some view for any address at all', () => {
    fc.assert(
      fc.property(fc.string(), (hash) => {
        expect(parseRoute(hash).kind).toBeTypeOf('string')
      }),
    )
  })

  it.each(['', '#', '#/', '#/nowhere', '#/guest', '#/guest/a', '#/pair', '#/%E0%A4%A'])(
    'shows the desk for %j',
    (hash) => {
      expect(parseRoute(hash)).toEqual({ kind: 'desk' })
    },
  )
})
