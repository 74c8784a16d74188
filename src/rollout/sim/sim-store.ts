import { type DecisionRecord, type JournalEntry, type RolloutStatus, undoFinalizer } from "../../api/serin/index.ts";
import { withEntries, withLater, withoutRun, withPrior, withStored, withUid } from "../act/journal-entries.ts";
import type { StoredJournal } from "../act/journal-store.ts";
import { journalCounts } from "../decide/index.ts";
import type { Rollout } from "../engine/rollout-object.ts";
import { Conflict, PatchRefused } from "./sim-errors.ts";
import { rememberedMap } from "./remembered.ts";

/** The API server as engines see it: rollouts with versions, journals, and the leader's number in place of a lease. */
export class SimStore {
  readonly #rollouts = new Map<string, Rollout>();
  readonly #former = new Map<string, Rollout>();
  readonly journals = new Map<string, StoredJournal>();
  /** Called with the key of each rollout that changes, as informers are. */
  readonly watchers = new Set<(key: string) => void>();
  readonly refusedJournals = new Set<string>();
  /** The journals that somebody has deleted, as a backup contains them. */
  readonly lostJournals = new Map<string, StoredJournal>();
  /** The journals whose entries somebody has changed, as they were before the change. */
  readonly editedJournals = new Map<string, StoredJournal>();
  leader = 0;
  /**
   * How often the storage was restored from a backup. A leader notices a restore, because its lease is older than it
   * has written it.
   */
  restores = 0;
  #version = 1;

  get version(): number {
    return this.#version;
  }

  get keys(): readonly string[] {
    return [...this.#rollouts.keys()];
  }

  backup(): () => void {
    const stored = [this.#rollouts, this.#former, this.journals, this.lostJournals, this.editedJournals].map((map) =>
      rememberedMap(map as Map<string, unknown>),
    );
    const version = this.#version;
    return () => {
      const [keys, newer] = [this.keys, new Map(this.journals)];
      for (const restore of stored) restore();
      this.#version = version;
      this.restores += 1;
      // An engine that keeps running after the restore still knows the newer journals.
      for (const [name, journal] of newer)
        if (!this.journals.has(name) && !this.lostJournals.has(name)) this.lostJournals.set(name, journal);
      for (const key of new Set([...keys, ...this.keys])) for (const notify of this.watchers) notify(key);
    };
  }

  /**
   * The journal as the engine wrote it last, even if somebody has changed or deleted it since. Without its journal, an
   * engine writes decisions into a new one, which has no entries and does not count.
   */
  writtenJournal(name: string): StoredJournal | undefined {
    const lost = this.lostJournals.get(name);
    const present = this.editedJournals.get(name) ?? this.journals.get(name);
    if (present === undefined || lost === undefined) return present ?? lost;
    return present.entries.length === 0 && !journalCounts(lost).completed ? lost : present;
  }

  readJournal(name: string): StoredJournal {
    return this.journals.get(name) ?? { entries: [], decisions: [], missing: true };
  }

  read(key: string): Rollout | undefined {
    return this.#rollouts.get(key);
  }

  readStale(key: string): Rollout | undefined {
    return this.#former.get(key) ?? this.#rollouts.get(key);
  }

  put(key: string, object: Rollout): void {
    this.#version += 1;
    const before = this.#rollouts.get(key);
    if (before !== undefined) this.#former.set(key, before);
    this.#rollouts.set(key, { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } });
    for (const notify of this.watchers) notify(key);
  }

  patchSpec(key: string, spec: Readonly<Record<string, unknown>>): void {
    const found = this.#rollouts.get(key);
    if (found === undefined) return;
    this.put(key, {
      ...found,
      metadata: { ...found.metadata, generation: (found.metadata.generation ?? 1) + 1 },
      spec: { ...found.spec, ...spec },
    } as Rollout);
  }

  annotate(key: string, name: string, value: string): void {
    const found = this.#rollouts.get(key);
    if (found === undefined) return;
    const annotations = { ...found.metadata.annotations, [name]: value };
    this.put(key, { ...found, metadata: { ...found.metadata, annotations } });
  }

  delete(key: string, at: string): void {
    const found = this.#rollouts.get(key);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) return;
    this.put(key, { ...found, metadata: { ...found.metadata, deletionTimestamp: at } });
    this.#collect(key);
  }

  forceDelete(key: string): void {
    this.#rollouts.delete(key);
    this.#former.delete(key);
    for (const notify of this.watchers) notify(key);
  }

  /** Writes the status if the version is still the present one. Returns the new version. */
  writeStatus(key: string, version: string, status: RolloutStatus): string {
    const found = this.#current(key, version);
    this.put(key, { ...found, status });
    return this.#rollouts.get(key)?.metadata.resourceVersion ?? "";
  }

  /** Changes the status as if an engine of another release had written it last. */
  rewriteStatus(key: string, change: (status: RolloutStatus) => RolloutStatus): void {
    const found = this.#rollouts.get(key);
    if (found?.status !== undefined) this.put(key, { ...found, status: change(found.status) });
  }

  setFinalizer(key: string, version: string, kept: boolean): string {
    const found = this.#current(key, version);
    this.put(key, { ...found, metadata: { ...found.metadata, finalizers: kept ? [undoFinalizer] : [] } });
    const written = this.#rollouts.get(key)?.metadata.resourceVersion ?? "";
    this.#collect(key);
    return written;
  }

  loseJournal(name: string): void {
    const journal = this.editedJournals.get(name) ?? this.journals.get(name);
    this.editedJournals.delete(name);
    if (journal === undefined) return;
    // A backup of a journal without entries would be useless. The engine makes such a journal after an earlier loss.
    const backup = this.lostJournals.get(name);
    if (backup === undefined || journal.entries.length > 0) this.lostJournals.set(name, journal);
    this.journals.delete(name);
  }

  /** Somebody removes the first entry of the journal, if it has one. */
  editJournal(name: string): void {
    const journal = this.journals.get(name);
    if (journal === undefined || journal.entries.length === 0 || this.editedJournals.has(name)) return;
    this.editedJournals.set(name, journal);
    this.journals.set(name, { ...journal, entries: journal.entries.slice(1) });
  }

  restoreEdited(name: string): void {
    const journal = this.editedJournals.get(name);
    if (journal === undefined) return;
    this.editedJournals.delete(name);
    this.journals.set(name, journal);
  }

  /** The engine writes a deleted journal again from its memory. The server may refuse that. */
  writeJournalAgain(name: string): void {
    if (this.lostJournals.has(name)) this.#admit(name);
    this.restoreJournal(name);
  }

  restoreJournal(name: string): void {
    const lost = this.lostJournals.get(name);
    if (lost === undefined) return;
    this.lostJournals.delete(name);
    this.journals.set(name, { ...lost, decisions: [...lost.decisions, ...(this.journals.get(name)?.decisions ?? [])] });
  }

  append(name: string, entries: readonly JournalEntry[], decisions: readonly DecisionRecord[], uid?: string): void {
    if (entries.length > 0 || decisions.length > 0) this.#admit(name);
    const journal = this.journals.get(name) ?? { entries: [], decisions: [] };
    const owner = journal.entries.length > 0 ? journal.uid : uid;
    this.journals.set(name, {
      ...(owner === undefined ? {} : { uid: owner }),
      entries: withEntries(journal.entries, entries),
      decisions: [...journal.decisions, ...decisions],
    });
  }

  keepStored(
    name: string,
    field: Parameters<typeof withStored>[1],
    lists: { readonly written: unknown; readonly stored: unknown },
  ): void {
    this.#isUnchanged(name);
    const journal = this.journals.get(name);
    if (journal !== undefined)
      this.journals.set(name, { ...journal, entries: withStored(journal.entries, field, lists) });
  }

  keepRestored(name: string, entry: JournalEntry, restored: unknown): void {
    this.#isUnchanged(name);
    const journal = this.journals.get(name);
    if (journal !== undefined)
      this.journals.set(name, { ...journal, entries: withPrior(journal.entries, entry, restored) });
  }

  keepRemade(name: string, entry: JournalEntry, uid: string): void {
    this.#isUnchanged(name);
    const journal = this.journals.get(name);
    if (journal !== undefined) this.journals.set(name, { ...journal, entries: withUid(journal.entries, entry, uid) });
  }

  keepLater(name: string, entry: JournalEntry, later: unknown): void {
    this.#admit(name);
    const journal = this.journals.get(name);
    if (journal !== undefined)
      this.journals.set(name, { ...journal, entries: withLater(journal.entries, entry, later) });
  }

  forgetRun(name: string): void {
    const journal = this.journals.get(name);
    if (journal?.entries.some(({ setup }) => setup !== true) !== true) return;
    this.#admit(name);
    this.journals.set(name, { ...journal, entries: withoutRun(journal.entries) });
  }

  strike(name: string, isStruck: (entry: JournalEntry) => boolean): void {
    const journal = this.journals.get(name);
    if (journal?.entries.some(isStruck) !== true) return;
    this.#admit(name);
    this.journals.set(name, { ...journal, entries: journal.entries.filter((entry) => !isStruck(entry)) });
  }

  /** Throws if somebody has changed the journal, because the engine's write names an outdated version. */
  #isUnchanged(name: string): void {
    if (this.editedJournals.has(name)) throw new Conflict(name);
  }

  #admit(name: string): void {
    this.#isUnchanged(name);
    if (this.refusedJournals.has(name)) throw new PatchRefused();
  }

  #current(key: string, version: string): Rollout {
    const found = this.#rollouts.get(key);
    if (found === undefined || found.metadata.resourceVersion !== version) throw new Conflict(key);
    return found;
  }

  #collect(key: string): void {
    const metadata = this.#rollouts.get(key)?.metadata ?? {};
    if (metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0) this.forceDelete(key);
  }
}
