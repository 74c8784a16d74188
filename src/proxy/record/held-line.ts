import type { ExchangeRecord } from "./exchange-record.ts";
import type { RequestKind } from "./request-kind.ts";

/**
 * The values of a record that a held line needs later. If the line held the record itself, it would keep the memory of
 * the whole exchange.
 */
export class HeldLine implements Pick<
  ExchangeRecord,
  | "cluster"
  | "endpoint"
  | "upstreamLocal"
  | "startedMs"
  | "durationMs"
  | "receivedBytes"
  | "sentBytes"
  | "upstreamServiceMs"
> {
  kind: RequestKind;
  cluster: ExchangeRecord["cluster"];
  endpoint: ExchangeRecord["endpoint"];
  upstreamLocal = "";
  startedMs = 0;
  durationMs = 0;
  receivedBytes = 0;
  sentBytes = 0;
  upstreamServiceMs = 0;
  /** All other values that differ for each request. */
  readonly texts: string[] = [];

  constructor(kind: RequestKind) {
    this.kind = kind;
  }

  take(kind: RequestKind, record: ExchangeRecord): void {
    this.kind = kind;
    this.cluster = record.cluster;
    this.endpoint = record.endpoint;
    this.upstreamLocal = record.upstreamLocal;
    this.startedMs = record.startedMs;
    this.durationMs = record.durationMs;
    this.receivedBytes = record.receivedBytes;
    this.sentBytes = record.sentBytes;
    this.upstreamServiceMs = record.upstreamServiceMs;
  }
}
