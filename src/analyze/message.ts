import type { MessageType } from "./message-types.ts";
import type { Resource } from "./resource.ts";

/** One finding: what is wrong, where, why it matters and what to do. */
export interface Message {
  readonly type: MessageType;
  /** What it is about; absent for what concerns the whole mesh. */
  readonly resource?: Resource | undefined;
  /** The field of the resource, as in `spec.http[0].route[1].destination.host`; absent: the resource as a whole. */
  readonly path?: string | undefined;
  readonly text: string;
}
