/** What is typed about a place becomes what the contract accepts, or a complaint at the right field. */
import { describe, expect, it } from 'vitest'
import { emptyPlace, type PlaceDraft, readPlace } from './place-draft.ts'

const azure: PlaceDraft = { ...emptyPlace, kind: 'azure' }
const problems = (draft: PlaceDraft): string[] => {
  const read = readPlace(draft)
  return 'problems' in read ? Object.keys(read.problems) : []
}

describe('describing where a vault shall be', () => {
  it('takes a folder by its whole path', () => {
    expect(readPlace({ ...emptyPlace, path: ' /mnt/nas ' })).toEqual({
      place: { kind: 'folder', path: '/mnt/nas' },
    })
    expect(problems(emptyPlace)).toEqual(['path'])
    expect(problems({ ...emptyPlace, path: 'nas' })).toEqual(['path'])
    expect(problems({ ...emptyPlace, path: `/${'x'.repeat(5000)}` })).toEqual(['path'])
  })

  it('takes the emulator without any field', () => {
    expect(readPlace({ ...emptyPlace, kind: 'azurite' })).toEqual({ place: { kind: 'azurite' } })
  })

  it('takes a connection string with the spaces and line ends it was copied with', () => {
    expect(readPlace({ ...azure, connectionString: ' AccountName=a;AccountKey=b\n' })).toEqual({
      place: {
        kind: 'azure',
        access: {
          kind: 'connection-string',
          connectionString: 'AccountName=a;AccountKey=b',
          container: 'wireless-dock',
        },
      },
    })
    expect(problems(azure)).toEqual(['connectionString'])
  })

  it('takes an account and its key, for the public cloud where no address is given', () => {
    const draft: PlaceDraft = { ...azure, access: 'account-key', account: 'ada', key: 'a2V5' }
    expect(readPlace(draft)).toMatchObject({ place: { access: { endpoint: null, account: 'ada' } } })
    expect(readPlace({ ...draft, endpoint: 'blob.cloud.example' })).toMatchObject({
      place: { access: { endpoint: 'https://blob.cloud.example' } },
    })
    expect(problems({ ...draft, endpoint: 'https://' })).toEqual(['endpoint'])
    expect(problems({ ...azure, access: 'account-key' })).toEqual(['account', 'key'])
  })

  it('takes the address of a container with its token, and no name of a container besides', () => {
    const draft: PlaceDraft = { ...azure, access: 'container-sas', container: '' }
    expect(problems(draft)).toContain('url')
    expect(readPlace({ ...draft, url: 'ada.blob.core.windows.net/c?sig=x' })).toEqual({
      place: {
        kind: 'azure',
        access: { kind: 'container-sas', url: 'https://ada.blob.core.windows.net/c?sig=x' },
      },
    })
  })

  it.each(['', 'ab', 'Upper', '-first', 'two--hyphens', 'x'.repeat(64)])(
    'complains about %j as the name of a container',
    (container) => {
      expect(problems({ ...azure, connectionString: 'AccountName=a', container })).toEqual(['container'])
    },
  )
})
