import { expect, it } from 'vitest'
import { contentSecurityPolicy, resolveAppFile } from './app-protocol.ts'

const root = '/app/dist/renderer'

it('serves the page and the files below its folder', () => {
  expect(resolveAppFile(root, 'app://wdock/')).toBe(`${root}/index.html`)
  expect(resolveAppFile(root, 'app://wdock/assets/a%20b.js?x=1#y')).toBe(`${root}/assets/a b.js`)
})

it.each([
  'app://wdock/../main.mjs',
  'app://wdock/%2e%2e/main.mjs',
  'app://wdock/..%2fmain.mjs',
  'app://wdock/assets/..%2f..%2f..%2fetc/passwd',
  'app://wdock/..%5cmain.mjs',
  'app://wdock/a%00.js',
  'app://wdock/%',
  'app://other/index.html',
  'app://wdock.example/index.html',
  'file:///etc/passwd',
  'not an address',
])('gives nothing outside it: %s', (address) => {
  const file = resolveAppFile(root, address)
  expect(file === null || file.startsWith(`${root}/`)).toBe(true)
})

it('lets the page connect to the screens of guests and nowhere else', () => {
  const policy = contentSecurityPolicy('ws://127.0.0.1:4711').split('; ')
  expect(policy).toContain('connect-src ws://127.0.0.1:4711')
  expect(policy).toContain("default-src 'none'")
  expect(policy.join()).not.toContain('unsafe')
})
