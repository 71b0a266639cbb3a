/** What a person can do with the vault itself. */
import type { VaultPlace } from '../../shared/models/checkpoint.ts'
import type { HostClient } from '../client/host-client.ts'
import { attempt, attemptAloud, attemptFor } from './attempts.ts'
import { forgetVaultWork, runVaultJob, type VaultJob } from './vault-work.ts'

export function createVaultActions(client: HostClient) {
  return {
    lookAtPlace: (place: VaultPlace) => attemptFor('vault', () => client.vault.look(place)),
    createVault: (place: VaultPlace) => attemptFor('vault', () => client.vault.create(place)),
    openVault: (place: VaultPlace, phrase: string) =>
      attempt('vault', () => client.vault.open({ place, phrase })),
    showPhrase: () => attemptFor('phrase', () => client.vault.phrase()),
    phraseSeen: () => attemptAloud('phrase', () => client.vault.phraseSeen()),
    forgetVault: async () => {
      if (await attemptAloud('vault', () => client.vault.forget())) forgetVaultWork()
    },
    vaultJob: (job: VaultJob) => runVaultJob(client, job),
  }
}
