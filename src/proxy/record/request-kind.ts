import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import type { LineTemplate } from "./line-template.ts";

/**
 * A kind of requests: their log lines differ only in the few values that change with each request. It stores the facts
 * that the requests share, from which the values with the span `kind` are made, and the template of their lines.
 */
export class RequestKind {
  /** The composer that made the template. */
  readonly owner: object;
  readonly connection: ConnectionInfo;
  readonly template: LineTemplate;
  readonly #method: string;
  readonly #protocol: string;
  readonly #authority: string;
  readonly #forwardedFor: string;
  readonly #userAgent: string;
  readonly #routeName: string;
  readonly #status: number;
  readonly #flag: number;
  readonly #details: string;
  readonly #transportFailure: string;
  readonly #grpcStatus: string;

  constructor(owner: object, record: ExchangeRecord, template: LineTemplate) {
    this.owner = owner;
    this.connection = record.connection;
    this.template = template;
    this.#method = record.method;
    this.#protocol = record.protocol;
    this.#authority = record.authority;
    this.#forwardedFor = record.forwardedFor;
    this.#userAgent = record.userAgent;
    this.#routeName = record.routeName;
    this.#status = record.status;
    this.#flag = record.flag;
    this.#details = record.details;
    this.#transportFailure = record.transportFailure;
    this.#grpcStatus = record.grpcStatus;
  }

  has(record: ExchangeRecord): boolean {
    return (
      this.#status === record.status &&
      this.#flag === record.flag &&
      this.#routeName === record.routeName &&
      this.#details === record.details &&
      this.#protocol === record.protocol &&
      this.#method === record.method &&
      this.#authority === record.authority &&
      this.#userAgent === record.userAgent &&
      this.#forwardedFor === record.forwardedFor &&
      this.#transportFailure === record.transportFailure &&
      this.#grpcStatus === record.grpcStatus
    );
  }
}
