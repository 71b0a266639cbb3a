import { expect, it } from 'vitest'
import { contract } from '../../shared/contract.ts'
import { catalogue } from './catalogue.ts'
import { commandHelp, overview } from './help.ts'
import { findCommand } from './run.ts'
import { parseSize } from './sizes.ts'
import { printable, table, textWidth } from './table.ts'

it('help names every command once', () => {
  const text = overview()
  for (const { name } of catalogue) expect(text).toContain(`  ${name}`)
  expect(new Set(catalogue.map(({ name }) => name)).size).toBe(catalogue.length)
})

it('every command is found by its name and has a help of its own, in words of people', () => {
  for (const command of catalogue) {
    expect(findCommand(command.name.split(' ')).command).toBe(command)
    expect(commandHelp(command)).toContain('--json')
    expect(commandHelp(command)).not.toMatch(/\b(?:host|store|manifests?|packs?|frames?|sweep)\b/)
  }
})

/** What a person can do must be possible on the command line: a new procedure needs a command. */
it('every procedure of the contract has its command', () => {
  const commands: Record<string, string> = {
    'state.get': 'status',
    'state.watch': 'watch',
    'guests.create': 'guest create',
    'guests.start': 'guest start',
    'guests.pause': 'guest pause',
    'guests.resume': 'guest resume',
    'guests.shutDown': 'guest shutdown',
    'guests.forceOff': 'guest force-off',
    'guests.rename': 'guest rename',
    'guests.remove': 'guest delete',
    'guests.undoRemove': 'guest undo-delete',
    'guests.picture': 'guest picture',
    'guests.openScreen': 'guest screen',
    'guests.log': 'guest log',
    'docks.connect': 'dock add',
    'docks.startPairing': 'pair',
    'docks.confirmPairing': 'confirm',
    'docks.refusePairing': 'refuse',
    // A line that was printed needs no dismissal.
    'docks.dismissPairing': '',
    'docks.unpair': 'unpair',
    'migrations.check': 'check',
    'migrations.start': 'migrate',
    'migrations.settle': 'settle',
    'vault.create': 'vault create',
    'vault.open': 'vault open',
    'vault.look': 'vault look',
    'vault.phrase': 'vault phrase',
    'vault.phraseSeen': 'vault phrase',
    'vault.forget': 'vault forget',
    'vault.stats': 'vault stats',
    'vault.check': 'vault check',
    'vault.sweep': 'vault gc',
    'checkpoints.make': 'checkpoint',
    'checkpoints.restore': 'restore',
    'checkpoints.relabel': 'checkpoint-label',
    'checkpoints.remove': 'checkpoint-delete',
    'checkpoints.picture': 'checkpoint-picture',
    'checkpoints.changeRules': 'checkpoint-rules',
    'lending.lend': 'lend',
    'lending.revoke': 'revoke',
    'lending.look': 'receive',
    'lending.receive': 'receive',
    'warm.allow': 'warm allow',
    'warm.now': 'warm now',
    'keptMemory.forget': 'kept forget',
    'keptMemory.forgetAll': 'kept forget',
    'operations.cancel': 'cancel',
    'operations.dismiss': 'dismiss',
    'settings.change': 'settings',
    'host.quit': 'quit',
    // A shell lists folders better than we could.
    'files.list': '',
  }
  const procedures = Object.entries(contract).flatMap(([group, members]) =>
    Object.keys(members).map((name) => `${group}.${name}`),
  )
  expect(Object.keys(commands).sort()).toEqual(procedures.sort())
  const names = new Set(['', ...catalogue.map(({ name }) => name)])
  for (const name of Object.values(commands)) expect(names).toContain(name)
})

it('columns line up, wide characters counted as two', () => {
  expect(textWidth('漢字')).toBe(4)
  expect(
    table(
      ['A', 'B'],
      [
        ['漢字', 'x'],
        ['ab', 'y'],
      ],
      '',
    ),
  ).toBe('A     B\n漢字  x\nab    y')
})

it('an empty table says so', () => {
  expect(table(['A'], [], 'Nothing.')).toBe('Nothing.')
})

it('nothing that a terminal obeys is left in a text', () => {
  expect(printable('a\x1b]0;x\x07b\u202ec\nd\u2028e')).toBe('a]0;xbcde')
  expect(printable('a\n\tb\r\x1b[1m', { keepLines: true })).toBe('a\n\tb[1m')
})

it.each([
  ['512M', 512 * 1024 ** 2],
  ['1.5 GiB', 1.5 * 1024 ** 3],
  ['20g', 20 * 1024 ** 3],
  ['4096', 4096],
  ['10B', 10],
])('%s is a size', (text, bytes) => {
  expect(parseSize(text, '--x', 'y')).toBe(bytes)
})

it.each(['', '0', '-1G', '1X', '1e3', '9999999999T', 'NaN'])('"%s" is no size', (text) => {
  expect(() => parseSize(text, '--x', 'y')).toThrow('--x must be a size')
})
