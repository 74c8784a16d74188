import { contained, type Clock } from "../../base/index.ts";
import type { HttpSpec } from "../http/http-spec.ts";
import type { ListenerSpec } from "../listener/listener-spec.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";

/** The maximum number of ended exchanges that wait for their report. */
export const maxWaitingExchanges = 64;
/** The maximum time for which an ended exchange waits for its report, in milliseconds. */
export const maxReportWaitMs = 20;

/**
 * Makes one part of an exchange's report, such as its metrics. `listener` and `http` are the configuration in force
 * when the exchange ended.
 */
export type ReportExchange = (listener: ListenerSpec, http: HttpSpec, record: ExchangeRecord) => void;

/**
 * Collects exchanges that have ended, and reports many of them in a row: one part of the report for all of them, then
 * the next part. If each exchange were reported at once, the code of the report would be loaded into the processor's
 * caches again each time, and displace the code that serves requests. A record does not change after its end, so a late
 * report is the same.
 */
export class EndedExchanges {
  readonly #parts: readonly ReportExchange[];
  readonly #clock: Pick<Clock, "after">;
  /**
   * The waiting exchanges, by position. Positions from {@link #count} on are undefined, so that nothing is kept alive.
   */
  readonly #listeners: (ListenerSpec | undefined)[] = [];
  readonly #https: (HttpSpec | undefined)[] = [];
  readonly #records: (ExchangeRecord | undefined)[] = [];
  #count = 0;
  #isTimed = false;

  constructor(parts: readonly ReportExchange[], clock: Pick<Clock, "after">) {
    this.#parts = parts;
    this.#clock = clock;
  }

  add(listener: ListenerSpec, http: HttpSpec, record: ExchangeRecord): void {
    const at = this.#count;
    this.#listeners[at] = listener;
    this.#https[at] = http;
    this.#records[at] = record;
    this.#count = at + 1;
    if (at + 1 >= maxWaitingExchanges) this.flush();
    else if (!this.#isTimed) this.#startTimer();
  }

  #startTimer(): void {
    this.#isTimed = true;
    this.#clock.after(maxReportWaitMs, () => {
      this.#isTimed = false;
      this.flush();
    });
  }

  /**
   * Reports all waiting exchanges. A running timer is not stopped, because a new one would cost more. It serves the
   * exchanges that follow.
   */
  flush(): void {
    const count = this.#count;
    this.#count = 0;
    for (const part of this.#parts)
      for (let at = 0; at < count; at += 1) {
        const listener = this.#listeners[at];
        const http = this.#https[at];
        const record = this.#records[at];
        if (listener === undefined || http === undefined || record === undefined) continue;
        try {
          part(listener, http, record);
        } catch (error) {
          // Only this part of this exchange's report is lost.
          contained(error);
        }
      }
    for (let at = 0; at < count; at += 1) {
      this.#listeners[at] = undefined;
      this.#https[at] = undefined;
      this.#records[at] = undefined;
    }
  }
}
