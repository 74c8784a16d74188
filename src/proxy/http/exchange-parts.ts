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
  /** The configuration at the request's beginning. */
  readonly config: HttpConnectionConfig;
  /** The request with its facts, as the exchange learns them. */
  readonly facts: ExchangeRequest;
  /** The request that goes upstream. */
  readonly request: OutgoingRequest;
  readonly attempts: Attempts;
  readonly record: LiveRecord;
  /** Whether the exchange still runs. Events after its end have no effect. */
  readonly active: boolean;
  /** Called with each change in the number of a body's bytes that filters hold. */
  bodyHeld(difference: number): void;
  /** Ends the exchange for this cause: by a reply, or by cutting the response off if a part of it has been sent. */
  fail(cause: ReplyRow): void;
}
