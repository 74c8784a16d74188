import type { MessageType } from "./message-types.ts";
import type { Resource } from "./resource.ts";

/** A finding. Its text says what is wrong, what it causes, and what to do. */
export interface Message {
  readonly type: MessageType;
  /** Absent if the message is about the mesh as a whole. */
  readonly resource?: Resource | undefined;
  /**
   * The field that the message is about, such as `spec.http[0].route[1].destination.host`. Absent for the whole
   * resource.
   */
  readonly path?: string | undefined;
  readonly text: string;
}
