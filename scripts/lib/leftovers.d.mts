export declare function ourNamespaces(): string[]
export declare function markedProcesses(marker: string): { pid: number; command: string }[]
export declare function leftovers(run: {
  marker: string
  namespacesBefore: string[]
  temporary: string
}): Promise<string[]>
export declare function endMarked(marker: string): void
