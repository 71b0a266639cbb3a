import { join, normalize } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkName, checkPrefix } from './names.ts'

function accepts(check: (text: string) => void, text: string): boolean {
  try {
    check(text)
    return true
  } catch {
    return false
  }
}

const soup = fc.oneof(
  fc.string(),
  fc
    .array(fc.constantFrom('a', '0', '-', '.', '..', '/', 'packs', '\\', '%', '\0', 'A'))
    .map((parts) => parts.join('')),
)

describe('names of objects', () => {
  it('lead nowhere but below their store, as paths and as addresses', () => {
    fc.assert(
      fc.property(soup, (name) => {
        if (!accepts(checkName, name)) return
        expect(normalize(join('/store', name))).toBe(`/store/${name}`)
        expect(new URL(`https://h.example/container/${name}`).pathname).toBe(`/container/${name}`)
      }),
    )
  })

  it('begin with every prefix that is a beginning of theirs', () => {
    for (const name of ['vault.json', 'packs/0123abcd', 'a-b.c/d']) {
      expect(accepts(checkName, name)).toBe(true)
      for (let length = 0; length <= name.length; length++) {
        expect(accepts(checkPrefix, name.slice(0, length))).toBe(true)
      }
    }
  })

  it('have no prefix that leads elsewhere', () => {
    fc.assert(
      fc.property(soup, (prefix) => {
        if (!accepts(checkPrefix, prefix)) return
        expect(join('/store', prefix).startsWith('/store')).toBe(true)
        expect(prefix).not.toMatch(/(^|\/)\./)
      }),
    )
  })
})
