import type { LaneConfig } from "./configuration.ts";
import type { Http1Case } from "./http1-client.ts";
import type { Http2Case } from "./http2-client.ts";

export interface JudgedCase {
  /** Names the case in reports of differences. */
  readonly title: string;
  readonly lane: string;
  readonly send: ({ readonly protocol: "http1" } & Http1Case) | ({ readonly protocol: "http2" } & Http2Case);
  /** Replaces what the upstream usually answers. */
  readonly upstreamAnswer?: { readonly bytes: Buffer; readonly closes: boolean };
  readonly comparesAnswer?: boolean;
}

export interface Suite {
  readonly name: string;
  /** The suite must have at least so many cases. */
  readonly least: number;
  readonly lanes: readonly LaneConfig[];
  /** How many lanes of each kind share the cases, to shorten the run. By default, one. */
  readonly copies?: number;
  readonly cases: readonly JudgedCase[];
}

/** One request over HTTP/1.1, and no other on its connection. `from` is the client's address. */
export function http1Request(lane: string, text: string, from?: string): JudgedCase {
  return {
    title: `${from ?? ""} ${JSON.stringify(text)}`,
    lane,
    send: { protocol: "http1", probes: false, bytes: raw(text), ...(from === undefined ? {} : { from }) },
  };
}

/** The bytes of a text in which each character is one byte. */
export function raw(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
