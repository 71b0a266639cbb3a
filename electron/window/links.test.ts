import { expect, it } from 'vitest'
import { routeOfArguments, routeOfLink } from './links.ts'

const dock = 'a'.repeat(52)
const guest = '0b0e7d1c-9a53-4c6e-8a43-3f5f6f0d8a11'

it('leads to the views there are', () => {
  expect(routeOfLink('wdock:')).toBe('#/')
  expect(routeOfLink('wdock:history')).toBe('#/history')
  expect(routeOfLink('wdock://settings/')).toBe('#/settings')
  expect(routeOfLink(`WDOCK:guest/${dock}/${guest}`)).toBe(`#/guest/${dock}/${guest}`)
  expect(routeOfLink('wdock:pair/p-1')).toBe('#/pair/p-1')
  expect(routeOfLink('wdock:moves')).toBe('#/moves')
  expect(routeOfLink(`wdock:checkpoints/${guest}`)).toBe(`#/checkpoints/${guest}`)
})

it('leads to what is lent, whole with its key, for the page to look at', () => {
  const link = `wdock:lend?u=${encodeURIComponent('https://a.example/c?sv=1&sig=x%2B')}&p=1#${'k'.repeat(43)}`
  expect(routeOfLink(link)).toBe(`#/receive?link=${encodeURIComponent(link)}`)
  expect(routeOfLink(`wdock:lend?u=${'x'.repeat(9000)}`)).toBeNull()
})

it.each([
  'wdock:quit',
  'wdock:guest/x/y',
  `wdock:guest/${dock}/${guest}/start`,
  'wdock:history?x=1',
  'wdock:history#token=x',
  'wdock:../settings',
  'wdock:pair/%2e%2e',
  'https://example.invalid/history',
  `wdock:${'a'.repeat(300)}`,
])('ignores %s', (link) => {
  expect(routeOfLink(link)).toBe(null)
})

it('finds the link on a command line', () => {
  expect(routeOfArguments(['electron', '--flag', 'wdock:history'])).toBe('#/history')
  expect(routeOfArguments(['electron', '.'])).toBe(null)
})
