import { messageOf, type Logger } from "../../base/index.ts";
import { changesLeft, rolloutJournalKind, type RolloutJournal } from "../../api/serin/index.ts";
import type { EventRecorder, KubeClient } from "../../kube/index.ts";

/** The number of journals in one response. Journals may be as large as the API server allows. */
const pageSize = 5;

export interface OrphanedJournalsOptions {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  readonly log: Logger;
  /** The names of the journals of all rollouts that exist. */
  readonly owned: () => ReadonlySet<string>;
}

/**
 * Reports the journals of rollouts that are gone although nobody undid them, because somebody removed the finalizer.
 * Without the report, a route could stay divided or a Deployment held, and no person would notice.
 */
export class OrphanedJournals {
  readonly #options: OrphanedJournalsOptions;
  readonly #reported = new Set<string>();

  constructor(options: OrphanedJournalsOptions) {
    this.#options = options;
  }

  /** Looks at all journals. An engine does this once, because rollouts may have been removed while no engine ran. */
  async lookAtAll(): Promise<void> {
    const { client, log } = this.#options;
    try {
      const { items } = await client.list(rolloutJournalKind, { pageSize });
      for (const journal of items) this.#report(journal);
    } catch (error) {
      log.debug("the journals could not be listed", { error: messageOf(error) });
    }
  }

  async lookAt(name: string): Promise<void> {
    const journal = await this.#options.client.get(rolloutJournalKind, name);
    if (journal !== undefined) this.#report(journal);
  }

  #report(journal: RolloutJournal): void {
    const { events, log, owned } = this.#options;
    const { name = "", uid = "" } = journal.metadata;
    const message = owned().has(name) ? undefined : changesLeft(journal);
    if (message === undefined || this.#reported.has(uid)) return;
    this.#reported.add(uid);
    log.warn(message, { journal: name });
    events.record(rolloutJournalKind, journal, { type: "Warning", reason: "ChangesLeft", message });
  }
}
