import type { Attempts } from "./attempts.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeOwner } from "./exchange-owner.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import type { LiveRecord } from "./live-record.ts";
import type { OutgoingRequest } from "./outgoing-request.ts";
import type { ReplyRow } from "./reply-table.ts";

/** The shared state of the classes that process an exchange. All of it is created for one request. */
export interface ExchangeParts {
  readonly owner: ExchangeOwner;
  readonly context: ExchangeContext;
  /** The configuration that was in force when the request began. */
  readonly config: HttpConnectionConfig;
  /** The facts about the request. The exchange adds some while it runs. */
  readonly facts: ExchangeRequest;
  readonly request: OutgoingRequest;
  readonly attempts: Attempts;
  readonly record: LiveRecord;
  /** Whether the exchange still runs. Events after its end have no effect. */
  readonly active: boolean;
  /** Called with each change in the number of a body's bytes that filters hold. */
  bodyHeld(difference: number): void;
  /** Ends the exchange for this cause. It replies, or cuts the response off if a part of the response has been sent. */
  fail(cause: ReplyRow): void;
}
