import { expect, it } from 'vitest'
import { originOf } from './app-origin.ts'
import { mayLoad, mayUse } from './security.ts'

const page = 'app://wdock'

it('knows the origin of the app scheme, of which the platform says null', () => {
  expect(originOf('app://wdock/index.html#/x')).toBe(page)
  expect(originOf('http://127.0.0.1:80/x')).toBe('http://127.0.0.1')
  expect(originOf('data:text/html,x')).toBe(null)
  expect(originOf('rubbish')).toBe(null)
})

it('grants what the screen of a guest needs to the page, and nothing to others', () => {
  expect(mayUse('fullscreen', page, page)).toBe(true)
  expect(mayUse('fullscreen', 'https://example.invalid', page)).toBe(false)
  expect(mayUse('fullscreen', null, page)).toBe(false)
  for (const permission of ['media', 'geolocation', 'clipboard-read', 'openExternal', 'usb', 'unknown']) {
    expect(mayUse(permission, page, page)).toBe(false)
  }
})

it('loads from the page and connects to the local server only', () => {
  const options = { pageOrigin: page, connectOrigins: ['ws://127.0.0.1:4711'] }
  expect(mayLoad('app://wdock/a.js', options)).toBe(true)
  expect(mayLoad('ws://127.0.0.1:4711/screen/x', options)).toBe(true)
  expect(mayLoad('data:image/png;base64,', options)).toBe(true)
  for (const url of [
    'ws://127.0.0.1:4712/',
    'http://127.0.0.1:4711/',
    'https://example.invalid/',
    'file:///etc/passwd',
    'app://wdock.invalid/',
  ]) {
    expect(mayLoad(url, options)).toBe(false)
  }
})
