import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ExchangeRecord } from "./exchange-record.ts";

/** The input of values with the span `kind`, and the common part of lines of that kind. */
export class RequestKind {
  /** The format that made these lines. */
  readonly owner: object;
  readonly connection: ConnectionInfo;
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
  /** The pieces, one after the other. */
  readonly bytes: Uint8Array;
  /**
   * The end position of each piece. A line has one more piece than values, because each value is written between two
   * pieces.
   */
  readonly ends: Int32Array;

  constructor(owner: object, record: ExchangeRecord, pieces: readonly Uint8Array[]) {
    this.owner = owner;
    this.connection = record.connection;
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
    this.bytes = new Uint8Array(Buffer.concat(pieces));
    let end = 0;
    this.ends = Int32Array.from(pieces, (piece) => (end += piece.length));
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
