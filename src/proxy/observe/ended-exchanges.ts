import type { Clock } from "../../base/index.ts";
import type { HttpSpec } from "../http/http-spec.ts";
import type { ListenerSpec } from "../listener/listener-spec.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";

/** The maximum number of ended exchanges that wait for their report. */
export const maxWaitingExchanges = 64;
/** The maximum time for which they wait. */
export const maxReportWaitMs = 20;

/** Makes one part of the report of an exchange that has ended, by the configuration that it ended with. */
export type ReportExchange = (listener: ListenerSpec, http: HttpSpec, record: ExchangeRecord) => void;

/**
 * Keeps exchanges that have ended, and reports many of them in a row, one part of the report after the other. Otherwise
 * each report would load its code into the processor's caches again, and displace the code that serves requests. A
 * record does not change after the end, so a late report is the same.
 */
export class EndedExchanges {
  readonly #parts: readonly ReportExchange[];
  readonly #clock: Pick<Clock, "after">;
  /** What waits, by position. Positions from {@link #count} on are undefined, so that nothing is kept alive. */
  readonly #listeners: (ListenerSpec | undefined)[] = [];
  readonly #https: (HttpSpec | undefined)[] = [];
  readonly #records: (ExchangeRecord | undefined)[] = [];
  #count = 0;
  /** Whether a timer runs. */
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

  /** Reports all that wait. A timer that still runs then serves those that follow, because a new one costs more. */
  flush(): void {
    const count = this.#count;
    this.#count = 0;
    for (const part of this.#parts)
      for (let at = 0; at < count; at += 1) {
        const listener = this.#listeners[at];
        const http = this.#https[at];
        const record = this.#records[at];
        if (listener !== undefined && http !== undefined && record !== undefined) part(listener, http, record);
      }
    for (let at = 0; at < count; at += 1) {
      this.#listeners[at] = undefined;
      this.#https[at] = undefined;
      this.#records[at] = undefined;
    }
  }
}
