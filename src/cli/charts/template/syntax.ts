/** The part of Go's text/template that our charts use: output, variables, if, with, range, define. */
export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly value: Expression }
  /** `$name := value`. */
  | { readonly kind: "variable"; readonly name: string; readonly value: Expression }
  | {
      readonly kind: "if" | "with";
      readonly value: Expression;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | {
      readonly kind: "range";
      readonly names: readonly string[];
      readonly value: Expression;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

export type Expression =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "dot" }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "field"; readonly of: Expression; readonly name: string }
  /** A pipe may supply the function's last argument. */
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Expression[] }
  /** A field that is a function, such as `.Files.Get "x"`. */
  | { readonly kind: "invoke"; readonly target: Expression; readonly args: readonly Expression[] };

export interface ParsedTemplate {
  readonly nodes: readonly Node[];
  /** The templates that `define` declares, by name. */
  readonly definitions: ReadonlyMap<string, readonly Node[]>;
}
