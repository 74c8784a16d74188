import type { LaneConfig } from "./configuration.ts";
import type { Http1Case } from "./http1-client.ts";
import type { Http2Case } from "./http2-client.ts";

export interface JudgedCase {
  /** Describes the request, for reports of differences. */
  readonly title: string;
  readonly lane: string;
  readonly send: ({ readonly protocol: "http1" } & Http1Case) | ({ readonly protocol: "http2" } & Http2Case);
  /** Replaces the upstream's usual answer. */
  readonly upstreamAnswer?: { readonly bytes: Buffer; readonly closes: boolean };
  /** Whether the answer's fields, body and trailers are also compared. */
  readonly comparesAnswer?: boolean;
}

export interface Suite {
  readonly name: string;
  /** The number of cases that the suite must have at least. */
  readonly least: number;
  readonly lanes: readonly LaneConfig[];
  /** The number of lanes of each kind, to shorten the run. The default is 1. */
  readonly copies?: number;
  readonly cases: readonly JudgedCase[];
}

/** One request over HTTP/1.1, after which no other is sent on its connection. `from`: the address of the client. */
export function http1Request(lane: string, text: string, from?: string): JudgedCase {
  return {
    title: `${from ?? ""} ${JSON.stringify(text)}`,
    lane,
    send: { protocol: "http1", probes: false, bytes: raw(text), ...(from === undefined ? {} : { from }) },
  };
}

/** The bytes of a text whose characters are one byte each. */
export function raw(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
