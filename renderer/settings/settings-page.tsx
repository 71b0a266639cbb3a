/** What this PC is called, how others find it, and who it is. A change is saved at once; its outcome stands beside it. */
import { useState } from 'react'
import type { ErrorShape } from '../../shared/errors/index.ts'
import type { HostSettings } from '../../shared/models/host-state.ts'
import { Button, buttonClass } from '../kit/button.tsx'
import { Choice } from '../kit/choice.tsx'
import { CopyButton } from '../kit/copy-button.tsx'
import { ErrorNotice } from '../kit/error-notice.tsx'
import { Facts, Page, Section } from '../kit/page.tsx'
import { SwitchLine } from '../kit/switch-line.tsx'
import { TextField } from '../kit/text-field.tsx'
import { shortFingerprint } from '../model/fingerprint.ts'
import { useActions, useHost } from '../state/app-context.tsx'
import { routeHref } from '../state/route.ts'
import { showDone } from '../state/toasts.ts'
import { KeptMemory } from './kept-memory.tsx'

export function SettingsPage() {
  const settings = useHost((state) => state.settings)
  const actions = useActions()
  const [error, setError] = useState<ErrorShape | null>(null)
  async function change(part: Partial<HostSettings>, done: string): Promise<void> {
    const failure = await actions.changeSettings(part)
    setError(failure)
    if (failure === null) showDone(done)
  }
  return (
    <Page title="Settings">
      {error !== null && <ErrorNotice error={error} />}
      <Section title="This PC">
        <NameForm
          key={settings.dockName}
          name={settings.dockName}
          onSave={(dockName) => void change({ dockName }, 'Saved the name of this PC.')}
        />
        <Choice
          label="Look"
          value={settings.theme}
          options={[
            ['system', 'Like the desktop'],
            ['light', 'Light'],
            ['dark', 'Dark'],
          ]}
          onChange={(theme) => void change({ theme }, 'Saved the look.')}
        />
      </Section>
      <Section title="Window">
        <Choice
          label="When this window is closed"
          value={settings.whenClosed}
          options={[
            ['stay', 'Stay reachable'],
            ['quit', 'Quit'],
          ]}
          onChange={(whenClosed) => void change({ whenClosed }, 'Saved.')}
        />
        <p className="field__hint">
          Staying, it lets other PCs move guests here. Running guests go on in either case.
        </p>
        <div>
          <Button onClick={() => void actions.quitHost()}>Quit Wireless Dock+ now</Button>
        </div>
      </Section>
      <CheckpointPlace />
      <KeptMemory onLimit={(keptMemoryMiB) => void change({ keptMemoryMiB }, 'Saved.')} />
      <Section title="Network">
        <SwitchLine
          label="Be seen by PCs nearby and look for them"
          hint="By DNS-SD in the local network. A change counts from the next start."
          on={settings.discovery}
          onChange={(discovery) => void change({ discovery }, 'Saved. It counts from the next start.')}
        />
        <PortForm
          key={settings.port}
          port={settings.port}
          onSave={(port) => void change({ port }, 'Saved. It counts from the next start.')}
        />
      </Section>
      <Identity />
      <About />
    </Page>
  )
}

/** Where checkpoints are kept, in a line; the rest is on a page of its own. */
function CheckpointPlace() {
  const vault = useHost((state) => state.vault)
  return (
    <Section title="Checkpoints">
      <p>
        {vault.kind === 'none' ? 'No place for them has been chosen yet.' : `Kept in ${vault.placeSentence}.`}
      </p>
      {vault.kind === 'failed' && <ErrorNotice error={vault.error} />}
      <div>
        <a className={buttonClass('plain')} href={routeHref({ kind: 'vault' })}>
          {vault.kind === 'none' ? 'Choose a place' : 'The vault'}
        </a>
      </div>
    </Section>
  )
}

function NameForm({ name, onSave }: { name: string; onSave: (name: string) => void }) {
  const [draft, setDraft] = useState(name)
  const trimmed = draft.trim()
  const problem = trimmed === '' ? 'Give this PC a name.' : undefined
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        if (problem === undefined) onSave(trimmed)
      }}
    >
      <TextField
        label="Name of this PC"
        value={draft}
        onChange={setDraft}
        problem={problem}
        maxLength={64}
        hint="Other PCs show it."
        after={
          <Button type="submit" disabled={trimmed === name || problem !== undefined}>
            Save
          </Button>
        }
      />
    </form>
  )
}

function PortForm({ port, onSave }: { port: number; onSave: (port: number) => void }) {
  const inUse = useHost((state) => state.info.port)
  const [draft, setDraft] = useState(String(port))
  const value = /^\d{1,5}$/.test(draft.trim()) ? Number(draft) : Number.NaN
  const problem = value <= 65_535 ? undefined : 'A number from 0 to 65535; 0 lets the system choose.'
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        if (problem === undefined) onSave(value)
      }}
    >
      <TextField
        label="TCP port for other PCs"
        value={draft}
        onChange={setDraft}
        inputMode="numeric"
        problem={problem}
        hint={`In use now: ${inUse}. 0 lets the system choose.`}
        after={
          <Button type="submit" disabled={value === port || problem !== undefined}>
            Save
          </Button>
        }
      />
    </form>
  )
}

function Identity() {
  const info = useHost((state) => state.info)
  const reached = info.addresses.map(
    (address) => `${address.includes(':') ? `[${address}]` : address}:${info.port}`,
  )
  return (
    <Section title="Identity">
      <Facts
        rows={[
          [
            'Fingerprint',
            <span key="short" className="copyable">
              <code>{shortFingerprint(info.dockId)}</code>
              <CopyButton text={info.dockId} label="Copy the whole fingerprint" />
            </span>,
          ],
          [
            'In full',
            <code key="full" className="breakable">
              {info.dockId}
            </code>,
          ],
          ['Private key', info.secretsSentence],
          ['Reached at', reached.length === 0 ? 'no network' : reached.join(', ')],
        ]}
      />
    </Section>
  )
}

function About() {
  const info = useHost((state) => state.info)
  const capabilities = useHost(
    (state) => state.docks.find((dock) => dock.id === state.info.dockId)?.capabilities ?? null,
  )
  return (
    <Section title="About">
      <Facts
        rows={[
          ['Wireless Dock+', info.appVersion],
          ['QEMU', capabilities?.qemuVersion ?? capabilities?.qemuProblem ?? 'not looked for yet'],
          ['Speed', capabilities?.accelerator.sentence ?? 'not tried yet'],
          [
            'Data',
            <code key="data" className="breakable">
              {info.dataDir}
            </code>,
          ],
        ]}
      />
    </Section>
  )
}
