// The clients of one scene: processes that open connections, and what they count.
import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { NetworkNamespace } from "../../src/net/index.ts";
import { answerOf } from "../answer-of.ts";

/**
 * How a connection failed: `refused`, `reset`, `timed out`, the code of another error, or `cut off` if the peer's end
 * came before all bytes.
 */
export type Failure = string;

export interface Target {
  /** The addresses that get the connections in turn, as those of a Service. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** The number of bytes that the client sends and expects back before the end. */
  readonly messageBytes: number;
}

export type Order =
  | { readonly order: "target"; readonly target: Target }
  | {
      readonly order: "rate";
      /** The connections per second. Absent means as many as the peer serves. */
      readonly perSecond?: number;
      readonly most: number;
    }
  /** The answer comes when all connections that were due have begun and few are open, or after the time limit. */
  | { readonly order: "catch up"; readonly limitMs: number }
  /** The answer contains the counts since the last answer. */
  | { readonly order: "take" }
  /** The answer comes when the last connection has ended. It contains the counts since the last answer. */
  | { readonly order: "finish" };

/** What happened to the connections that ended in a period. */
export interface Counts {
  served: number;
  readonly failed: Record<Failure, number>;
  /** The longest time from the connect to the clean end, or to the failure. */
  longestMs: number;
}

const processes = 2;
/** The module that the bench's other processes run. */
export const ends = join(import.meta.dirname, "../hand-over-ends.ts");

export class Clients {
  readonly #children: readonly ChildProcess[];

  /** `words` are the arguments of `runClient`. */
  constructor(namespace: NetworkNamespace, ...words: readonly string[]) {
    this.#children = Array.from({ length: processes }, () => namespace.enter(() => fork(ends, ["client", ...words])));
  }

  /** Gives an order to all processes, each for its part of the rate. The answer is the sum of their answers. */
  async run(order: Order): Promise<Counts> {
    const ofEach =
      order.order === "rate"
        ? {
            ...order,
            most: Math.ceil(order.most / processes),
            ...(order.perSecond === undefined ? {} : { perSecond: order.perSecond / processes }),
          }
        : order;
    return sumOf(
      await Promise.all(
        this.#children.map(async (child) => {
          const answer = answerOf(child, "a client");
          child.send(ofEach);
          return (await answer) as Counts;
        }),
      ),
    );
  }

  stop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }
}

export function sumOf(all: readonly Counts[]): Counts {
  const failed: Record<Failure, number> = {};
  for (const each of all)
    for (const [kind, count] of Object.entries(each.failed)) failed[kind] = (failed[kind] ?? 0) + count;
  return {
    served: all.reduce((sum, { served }) => sum + served, 0),
    failed,
    longestMs: Math.max(0, ...all.map(({ longestMs }) => longestMs)),
  };
}
