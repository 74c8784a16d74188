import type { LaneConfig } from "./configuration.ts";
import type { Http1Case } from "./http1-client.ts";
import type { Http2Case } from "./http2-client.ts";

export interface JudgedCase {
  /** Says what is sent, so that a difference can be read. */
  readonly title: string;
  readonly lane: string;
  readonly send: ({ readonly protocol: "http1" } & Http1Case) | ({ readonly protocol: "http2" } & Http2Case);
  /** What the upstream answers instead of its usual answer. */
  readonly upstreamAnswer?: { readonly bytes: Buffer; readonly closes: boolean };
  /** The answer's fields, body and trailers are compared too. */
  readonly comparesAnswer?: boolean;
}

export interface Suite {
  readonly name: string;
  /** The least number of cases that the suite is worth running with. */
  readonly least: number;
  readonly lanes: readonly LaneConfig[];
  /** Lanes of each kind, so that its cases take less time; 1 when absent. */
  readonly copies?: number;
  readonly cases: readonly JudgedCase[];
}

/** Bytes of a text in which each character is one byte. */
export function raw(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
