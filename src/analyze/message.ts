import type { MessageType } from "./message-types.ts";
import type { Resource } from "./resource.ts";

/** One finding: the fault, its place, its effect and the remedy. */
export interface Message {
  readonly type: MessageType;
  /** The resource concerned. Absent if the message concerns the whole mesh. */
  readonly resource?: Resource | undefined;
  /** The field concerned, such as `spec.http[0].route[1].destination.host`. Absent if it is the whole resource. */
  readonly path?: string | undefined;
  readonly text: string;
}
