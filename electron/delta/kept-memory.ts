import type { KeptPages } from '../pages/kept/kept-pages.ts'

/** What sender and receiver need of the pages that are kept of a guest, so that tests can put a model there. */
export type KeptMemory = Pick<
  KeptPages,
  | 'known'
  | 'begin'
  | 'base'
  | 'end'
  | 'idEquals'
  | 'find'
  | 'readInto'
  | 'putPage'
  | 'putCopy'
  | 'putZero'
  | 'putForeign'
  | 'eachKnown'
>
