import { describe, expect, it } from 'vitest'
import { marked, namesIn } from './marked-text.ts'

const page = '# Speed\n\n<!-- bench:migrate -->\nold\n<!-- /bench:migrate -->\n\nMore text.\n'

describe('marked text', () => {
  it('is replaced, and nothing around it', () => {
    const fresh = marked(page, 'migrate', '| new |\n')
    expect(fresh).toBe(
      '# Speed\n\n<!-- bench:migrate -->\n\n| new |\n\n<!-- /bench:migrate -->\n\nMore text.\n',
    )
  })

  it('stays the same the second time', () => {
    const once = marked(page, 'migrate', '| new |')
    expect(marked(once, 'migrate', '| new |')).toBe(once)
  })

  it('is found by its opening marks', () => {
    expect(namesIn(page)).toEqual(['migrate'])
    expect(namesIn('no marks')).toEqual([])
  })

  it('is not guessed where a mark is missing', () => {
    expect(() => marked('<!-- bench:migrate -->', 'migrate', 'x')).toThrow(/both/)
  })
})
