// What a generator is told (one JSON object, its only argument), and what it says: one JSON object a line, appended to a file.

export interface LoadPlan {
  /** The generator writes `<its name>.jsonl` here. */
  readonly reportDirectory: string;
  /** The pod's name when absent. */
  readonly name?: string;
  /** A request that has no whole answer by then has failed. */
  readonly limitMs: number;
  /** Ends when standard input does; else by SIGTERM alone. */
  readonly untilInputEnds?: boolean;
  readonly requests: readonly RequestTarget[];
  readonly connections: readonly ConnectionTarget[];
}

/** Short requests, `perSecond` of all clients together. Nothing is ever tried again. */
export interface RequestTarget {
  readonly name: string;
  /** `grpc` says `hello` to echo.proto's service without TLS. */
  readonly protocol: "http" | "grpc";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text that every answer holds; another body is a failure. */
  readonly expected: string;
  /** Its first group says who answered. */
  readonly answerPattern?: string;
  readonly keptAlive: number;
  /** How long a kept-alive connection is used before the client closes it, between two requests, and makes another. */
  readonly keptSeconds: number;
  /** Clients that make a connection a request. */
  readonly newConnections: number;
  readonly perSecond: number;
}

/** Connections that live for a while, each followed by the next. */
export interface ConnectionTarget {
  readonly name: string;
  readonly kind: "tcp" | "websocket" | "download";
  /** `tcp://host:port`, `ws://host:port/socket`, `http://host:port/download`. */
  readonly url: string;
  readonly count: number;
  readonly seconds: number;
}

/** Upper bounds of a report's latency buckets, in milliseconds; one more bucket takes the rest. */
export const latencyBoundsMs = [1, 2, 4, 6, 8, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2000, 4000] as const;

export interface RequestCounts {
  requests: number;
  failed: number;
  /** A count for each of `latencyBoundsMs`, and one for what is above. */
  latencies: number[];
  answers: Record<string, number>;
}

export interface ConnectionCounts {
  /** How many are open now. */
  open: number;
  /** Lived for their time; every byte came back. */
  ended: number;
  /** Ended because the pod of the one or the other end was told to end. */
  endedWithPod: number;
  /** Ended by anything else, or silent for ten seconds. */
  closed: number;
}

export interface LoadFailure {
  /** ISO 8601. */
  readonly at: string;
  readonly target: string;
  readonly cause: string;
  /** `kept-alive`, `new-connection` or `connection`. */
  readonly group: string;
}

/** What happened since the report before; `open` alone is of now. */
export interface LoadReport {
  readonly at: string;
  readonly requests: Record<string, RequestCounts>;
  readonly connections: Record<string, ConnectionCounts>;
  /** At most 50 of them; the counts are whole. */
  readonly failures: LoadFailure[];
}
