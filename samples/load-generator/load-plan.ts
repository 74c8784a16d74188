// The input of a generator, which is one JSON object as its only argument, and its output: one JSON object a line,
// appended to a file.

export interface LoadPlan {
  /** The directory into which the generator writes `<its name>.jsonl`. */
  readonly reportDirectory: string;
  /** The generator's name. If absent, the pod's name. */
  readonly name?: string;
  /** A request without a complete response in this time has failed. */
  readonly limitMs: number;
  /** Whether the generator ends with its standard input. Otherwise only SIGTERM ends it. */
  readonly untilInputEnds?: boolean;
  readonly requests: readonly RequestTarget[];
  readonly connections: readonly ConnectionTarget[];
}

/**
 * The name of a file in the report directory that contains a number. While it exists, the clients send this many times
 * their planned requests. So a test that waits for requests gets them soon, without a higher load before and after.
 */
export const hurryFile = "hurry";

/** Short requests. All clients of a target together send `perSecond` requests. A client never retries a request. */
export interface RequestTarget {
  readonly name: string;
  /** `grpc` calls `hello` of echo.proto's service without TLS. */
  readonly protocol: "http" | "grpc";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A text that every response contains. Any other body is a failure. */
  readonly expected: string;
  /** A pattern for a response. Its first group is the name of the server. */
  readonly answerPattern?: string;
  readonly keptAlive: number;
  /** How long a client uses a kept-alive connection before it closes it between two requests and opens another. */
  readonly keptSeconds: number;
  /** The number of clients that open a connection for each request. */
  readonly newConnections: number;
  readonly perSecond: number;
}

/** Connections that live for a while. When one ends, the next one begins. */
export interface ConnectionTarget {
  readonly name: string;
  readonly kind: "tcp" | "websocket" | "download";
  /** `tcp://host:port`, `ws://host:port/socket`, `http://host:port/download`. */
  readonly url: string;
  readonly count: number;
  readonly seconds: number;
  /**
   * The time between two messages of a client, or two lines of a download. If absent, 200 ms for messages and 100 ms
   * for lines.
   */
  readonly messageEveryMs?: number;
}

/** Upper bounds of a report's latency buckets in milliseconds. One more bucket counts higher latencies. */
export const latencyBoundsMs = [1, 2, 4, 6, 8, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2000, 4000] as const;

export interface RequestCounts {
  requests: number;
  failed: number;
  /** A count for each of `latencyBoundsMs`, and one for higher latencies. */
  latencies: number[];
  answers: Record<string, number>;
}

export interface ConnectionCounts {
  open: number;
  /** Connections that lived for their time and returned every byte. */
  ended: number;
  /** Connections that ended because the pod at one end was stopped. */
  endedWithPod: number;
  /** Connections that ended in any other way, or were silent for ten seconds. */
  closed: number;
}

export interface LoadFailure {
  /** The time in ISO 8601. */
  readonly at: string;
  readonly target: string;
  readonly cause: string;
  /** `kept-alive`, `new-connection`, `connection`, or `closed-connection`, which is no failed request. */
  readonly group: string;
}

/** The events since the previous report. Only `open` is a current value. */
export interface LoadReport {
  readonly at: string;
  readonly requests: Record<string, RequestCounts>;
  readonly connections: Record<string, ConnectionCounts>;
  /** At most 50 failures. The counts include all failures. */
  readonly failures: LoadFailure[];
}
