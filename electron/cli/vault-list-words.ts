/** What is said of a list of the vault that may not be whole. */
import type { VaultList, VaultState } from '../../shared/models/checkpoint.ts'

/** Why something may be missing from a list; null where it is whole, or there is no vault. */
export function missingWords(vault: VaultState, list: VaultList): string | null {
  if (vault.kind === 'none') return null
  if (vault.kind === 'failed') return vault.error.message
  if (vault.kind === 'opening') return 'The vault is still being opened.'
  const { [list]: state } = vault
  if (state.kind === 'reading') return 'Their list is still being read.'
  return state.kind === 'unread'
    ? `Their list could not be read yet, which is tried again every few minutes. ${state.error.message}`
    : null
}
