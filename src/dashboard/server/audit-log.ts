import type { AuditRecord } from "../../api/dashboard/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { limits } from "./limits.ts";

/** Records who did what on the page. Memory holds the newest records, and the log gets all. */
export class AuditLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #records: AuditRecord[] = [];

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#clock = clock;
    this.#log = log.scoped("audit");
  }

  record(record: Omit<AuditRecord, "atMs">): void {
    this.#records.push({ atMs: this.#clock.nowMs(), ...record });
    if (this.#records.length > limits.auditRecords) this.#records.shift();
    const { user, what, result, detail } = record;
    this.#log.info(what, { user, result, ...(detail === "" ? {} : { detail }) });
  }

  records(isShown: (record: AuditRecord) => boolean): readonly AuditRecord[] {
    return this.#records.filter(isShown).toReversed();
  }
}
