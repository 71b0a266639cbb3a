/** Where a vault shall be: the kinds of places as cards, and the fields of the chosen one, with where to find them. */
import { Cloud, FlaskConical, FolderClosed } from 'lucide-react'
import type { Card } from '../kit/card-choice.tsx'
import { CardChoice } from '../kit/card-choice.tsx'
import { Choice } from '../kit/choice.tsx'
import { PathField } from '../kit/path-field.tsx'
import { TextArea } from '../kit/text-area.tsx'
import { TextField } from '../kit/text-field.tsx'
import { useHost } from '../state/app-context.tsx'
import type { AccessKind, PlaceDraft, PlaceKind, PlaceProblems } from './place-draft.ts'

export interface PlaceFieldsProps {
  draft: PlaceDraft
  change: (part: Partial<PlaceDraft>) => void
  problems: PlaceProblems
}

const folder: Card<PlaceKind> = {
  value: 'folder',
  title: 'A folder',
  text: 'On a network drive or another disk. No account is needed.',
  icon: <FolderClosed className="cards__icon" size={20} aria-hidden />,
}
const azure: Card<PlaceKind> = {
  value: 'azure',
  title: 'Azure Blob Storage',
  text: 'Reached from everywhere, and checkpoints can be lent by a link.',
  icon: <Cloud className="cards__icon" size={20} aria-hidden />,
}
const azurite: Card<PlaceKind> = {
  value: 'azurite',
  title: 'Azurite, to try it out',
  text: 'Azure’s emulator on this PC, with all that the cloud can do. For the demo only.',
  icon: <FlaskConical className="cards__icon" size={20} aria-hidden />,
}

export function PlaceFields({ draft, change, problems }: PlaceFieldsProps) {
  const isDemo = useHost((state) => state.info.isDemo)
  const cards = isDemo ? [folder, azure, azurite] : [folder, azure]
  return (
    <>
      <CardChoice
        label="Where checkpoints are kept"
        value={draft.kind}
        cards={cards}
        onChange={(kind) => change({ kind })}
      />
      {draft.kind === 'folder' && (
        <PathField
          label="Folder"
          wanted="folder"
          value={draft.path}
          onChange={(path) => change({ path })}
          problem={problems.path}
          hint="A new or empty one, or one that holds a vault already. On a disk of this PC it does not help when the PC is lost."
        />
      )}
      {draft.kind === 'azure' && <AzureFields draft={draft} change={change} problems={problems} />}
    </>
  )
}

const accessHints: Record<AccessKind, string> = {
  'connection-string':
    'One line that holds the account and its key: the simplest way. In the Azure portal: your storage account → Security + networking → Access keys → Connection string.',
  'account-key':
    'The name and the key apart, for private clouds with an address of their own. In the Azure portal: your storage account → Security + networking → Access keys → Key.',
  'container-sas':
    'An address that opens one container for a while, where the account’s key shall not leave its owner; links cannot be made with it. In the Azure portal: your storage account → Containers → the container → Shared access tokens, with the permissions Read, Add, Create, Write, Delete and List.',
}

function AzureFields({ draft, change, problems }: PlaceFieldsProps) {
  return (
    <>
      <Choice
        label="Access by"
        value={draft.access}
        options={[
          ['connection-string', 'Connection string'],
          ['account-key', 'Account key'],
          ['container-sas', 'Container link (SAS)'],
        ]}
        onChange={(access) => change({ access })}
      />
      <p className="field__hint">{accessHints[draft.access]}</p>
      {draft.access === 'connection-string' && (
        <TextArea
          label="Connection string"
          isCode
          value={draft.connectionString}
          onChange={(connectionString) => change({ connectionString })}
          problem={problems.connectionString}
          maxLength={4096}
          placeholder="DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…"
        />
      )}
      {draft.access === 'account-key' && <KeyFields draft={draft} change={change} problems={problems} />}
      {draft.access === 'container-sas' ? (
        <TextArea
          label="Address with its token (“Blob SAS URL”)"
          isCode
          value={draft.url}
          onChange={(url) => change({ url })}
          problem={problems.url}
          maxLength={4096}
          placeholder="https://name.blob.core.windows.net/container?sp=…&sig=…"
        />
      ) : (
        <TextField
          label="Container"
          value={draft.container}
          onChange={(container) => change({ container })}
          problem={problems.container}
          maxLength={63}
          hint="A folder of the account, for this vault alone. It is made if it is not there and the access allows that."
        />
      )}
    </>
  )
}

function KeyFields({ draft, change, problems }: PlaceFieldsProps) {
  return (
    <>
      <TextField
        label="Storage account"
        value={draft.account}
        onChange={(account) => change({ account })}
        problem={problems.account}
        maxLength={64}
      />
      <TextArea
        label="Key"
        isCode
        rows={2}
        value={draft.key}
        onChange={(key) => change({ key })}
        problem={problems.key}
        maxLength={512}
      />
      <TextField
        label="Address of the service (optional)"
        value={draft.endpoint}
        onChange={(endpoint) => change({ endpoint })}
        problem={problems.endpoint}
        placeholder="https://name.blob.core.windows.net"
        hint="Leave it empty for Azure’s public cloud."
      />
    </>
  )
}
