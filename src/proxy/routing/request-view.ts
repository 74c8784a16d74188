import type { MessageHead } from "../../wire/http1/index.ts";

/** What routing may look at of a request. It holds only while the request's head is being handled. */
export interface RequestView {
  readonly head: MessageHead;
  readonly method: string;
  /** The target's path, without query and fragment, normalised if the listener says so. */
  readonly path: string;
  /** What follows the `?`, which it does not hold; empty when there is none. */
  readonly query: string;
  /** Host and port as the client asked for, in lower case. */
  readonly authority: string;
  readonly scheme: "http" | "https";
}
