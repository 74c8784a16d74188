/** A node of Go's text/template, as far as templates of pods and charts use it. */
export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipeline: Pipeline }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipeline: Pipeline;
      readonly body: readonly TemplateNode[];
      readonly otherwise: readonly TemplateNode[];
    }
  | { readonly kind: "call"; readonly name: string; readonly pipeline: Pipeline | undefined };

export interface Pipeline {
  /** The names of variables: one, or two for a range. */
  readonly declares: readonly string[];
  /** Whether it assigns an existing variable with `=`, instead of declaring one with `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

export type Operand =
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "dot" | "variable"; readonly name: string; readonly path: readonly string[] }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "group"; readonly pipeline: Pipeline; readonly path: readonly string[] };

export interface ParsedTemplate {
  readonly body: readonly TemplateNode[];
  readonly defined: ReadonlyMap<string, readonly TemplateNode[]>;
}
