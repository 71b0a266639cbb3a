/**
 * Hands the host's state, its client and the actions to the components. The state is exactly what
 * `applyHostEvent` makes of the events; no component changes it.
 */
import { createContext, use } from 'react'
import { createStore, type StoreApi, useStore } from 'zustand'
import { applyHostEvent, type HostState } from '../../shared/models/host-state.ts'
import type { HostClient, HostConnection, LinkState } from '../client/host-client.ts'
import { type Actions, createActions } from './actions.ts'

interface HostSnapshot {
  state: HostState | null
  link: LinkState
}

export interface App {
  client: HostClient
  store: StoreApi<HostSnapshot>
  actions: Actions
}

export function createApp(connection: HostConnection): App {
  const store = createStore<HostSnapshot>()(() => ({ state: null, link: { kind: 'connecting' } }))
  connection.start({
    onEvent: (event) => store.setState(({ state }) => ({ state: applyHostEvent(state, event) })),
    onLink: (link) => store.setState({ link }),
  })
  return { client: connection.client, store, actions: createActions(connection.client) }
}

export const AppContext = createContext<App | null>(null)

function useApp(): App {
  const app = use(AppContext)
  if (app === null) throw new Error('A component that needs the host stands outside AppContext.')
  return app
}

export function useClient(): HostClient {
  return useApp().client
}

export function useActions(): Actions {
  return useApp().actions
}

export function useLink(): LinkState {
  return useStore(useApp().store, ({ link }) => link)
}

export function useHasState(): boolean {
  return useStore(useApp().store, ({ state }) => state !== null)
}

/** A part of the host's state. Only below the shell, which waits for the first snapshot. */
export function useHost<T>(select: (state: HostState) => T): T {
  return useStore(useApp().store, ({ state }) => {
    if (state === null) throw new Error('The host state was read before the first snapshot.')
    return select(state)
  })
}
