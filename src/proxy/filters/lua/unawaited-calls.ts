import { messageOf, type Logger } from "../../../base/index.ts";
import type { CallCluster, ClusterRequest } from "../../terms/call-cluster.ts";

interface Services {
  readonly callCluster: CallCluster;
  readonly log: Logger;
}

/**
 * The maximum number of open calls of one script that it does not wait for, and the maximum size of their bodies in
 * total.
 */
const maxCalls = 1024;
const maxBytes = 16 * 1024 * 1024;

/** The calls of a script that it does not wait for. They may outlive their requests. Their time limits end them. */
export class UnawaitedCalls {
  #count = 0;
  #bytes = 0;

  /** Throws if too many calls are unanswered: a loop could otherwise use up the memory and descriptors of a proxy. */
  start(call: ClusterRequest, { callCluster, log }: Services): void {
    if (this.#count >= maxCalls || this.#bytes + call.body.length > maxBytes)
      throw new Error(
        `at most ${maxCalls} asynchronous http calls of a script with ${maxBytes} bytes may be unanswered at once`,
      );
    this.#count += 1;
    this.#bytes += call.body.length;
    callCluster(call, new AbortController().signal)
      .catch((error: unknown) => log.debug(`httpCall: ${messageOf(error)}`))
      .finally(() => {
        this.#count -= 1;
        this.#bytes -= call.body.length;
      })
      .catch(() => undefined);
  }
}
