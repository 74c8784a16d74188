import type { MessageHead } from "../../wire/http1/index.ts";

/** The parts of a request that routing may read. They are valid only while the request's head is processed. */
export interface RequestView {
  readonly head: MessageHead;
  readonly method: string;
  /** The target's path without query and fragment, normalized if the listener says so. */
  readonly path: string;
  /** The text after `?`. Empty if there is none. */
  readonly query: string;
  /** The host and port that the client requested, in lower case. */
  readonly authority: string;
  readonly scheme: "http" | "https";
}
