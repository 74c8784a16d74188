import type { Condition } from "../meta.ts";
import type { View, ViewHead } from "./view.ts";

export interface ConfigsView extends View {
  readonly tables: { readonly configs: Readonly<Record<string, ConfigRow>> };
}

export interface ConfigRow {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly createdAtMs?: number;
  readonly errors: number;
  readonly warnings: number;
  /** The most severe message. Empty if there is none. */
  readonly firstMessage: string;
}

export interface ConfigView extends View {
  readonly head: ConfigHead;
  readonly tables: {
    readonly messages: Readonly<Record<string, ConfigMessage>>;
    readonly references: Readonly<Record<string, ConfigRow>>;
  };
}

export interface ConfigHead extends ViewHead {
  readonly row: ConfigRow;
  /** The object in YAML, without managed fields. */
  readonly yaml: string;
  readonly resourceVersion: string;
  readonly conditions: readonly Condition[];
  readonly mayWrite: boolean;
}

export interface ConfigMessage {
  /** The code of the message's type, for example `IST0101` or `SER0110`. Empty for messages of the parser. */
  readonly code: string;
  readonly level: "Error" | "Warning" | "Info";
  readonly message: string;
  /** The path of the field, for example `spec.http[0].route[0].destination.host`. Empty for the object as a whole. */
  readonly path: string;
  /**
   * The line in the YAML that was sent or is shown, from 1. If the path is not in the YAML, this is the object's first
   * line.
   */
  readonly line: number;
  readonly column: number;
}
