import type { Condition } from "../meta.ts";
import type { View, ViewHead } from "./view.ts";

export interface ConfigsView extends View {
  readonly tables: { readonly configs: Readonly<Record<string, ConfigRow>> };
}

/** An object of Istio's kinds, of Gateway API or of ours. */
export interface ConfigRow {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly createdAtMs?: number;
  readonly errors: number;
  readonly warnings: number;
  /** The worst message; empty when there is none. */
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
  /** Without managed fields. */
  readonly yaml: string;
  readonly resourceVersion: string;
  readonly conditions: readonly Condition[];
  readonly mayWrite: boolean;
}

/** What the analyzer says of an object. */
export interface ConfigMessage {
  /** `IST0101`, `SER0110`; empty where it comes from the parser. */
  readonly code: string;
  readonly level: "Error" | "Warning" | "Info";
  readonly message: string;
  /** `spec.http[0].route[0].destination.host`; empty for the object as a whole. */
  readonly path: string;
  /** From 1, in the YAML that was sent or is shown; the object's first where the path is not in it. */
  readonly line: number;
  readonly column: number;
}
