import type { ProxyRoots } from "../../api/serin/index.ts";
import type { Clock } from "../../base/index.ts";

type Issued = ProxyRoots["certificates"][number];

interface Entry {
  readonly issued: Issued;
  readonly notAfterMs: number;
}

/**
 * The maximum number of remembered callers, and of identities of each. The least recently used ones are dropped first.
 */
const maxCallers = 20_000;
const maxIdentities = 4096;

export class IssuedCertificates {
  readonly #callers = new Map<string, Map<string, Entry>>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records a certificate. `roots` are those that were sent with it, the signing root first. */
  note(
    caller: { readonly namespace: string; readonly pod: string },
    identity: string,
    roots: readonly string[],
    notAfterMs: number,
  ): void {
    if (caller.pod === "") return;
    const key = `${caller.namespace}/${caller.pod}`;
    const entries = this.#callers.get(key) ?? new Map<string, Entry>();
    this.#callers.delete(key);
    this.#callers.set(key, entries);
    entries.delete(identity);
    entries.set(identity, {
      issued: { identity, root: roots[0] ?? "", trusted: roots, notAfter: new Date(notAfterMs).toISOString() },
      notAfterMs,
    });
    dropOldest(this.#callers, maxCallers);
    dropOldest(entries, maxIdentities);
  }

  of(namespace: string, pod: string): readonly Issued[] {
    const nowMs = this.#clock.nowMs();
    return [...(this.#callers.get(`${namespace}/${pod}`)?.values() ?? [])]
      .filter((entry) => entry.notAfterMs > nowMs)
      .map(({ issued }) => issued);
  }
}

function dropOldest(entries: Map<string, unknown>, limit: number): void {
  if (entries.size <= limit) return;
  for (const key of entries.keys()) {
    entries.delete(key);
    return;
  }
}
