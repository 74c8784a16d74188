import { internalError } from "../../../base/index.ts";
import type { Expression, Node, ParsedTemplate } from "./syntax.ts";
import { isTrue, templateFunctions, textOfValue } from "./template-functions.ts";

/** The variables of a block, including those of the blocks around it. */
type Scope = Map<string, unknown>;

/** Runs the templates of one chart, which share their definitions. */
export class TemplateRunner {
  readonly #definitions = new Map<string, readonly Node[]>();

  constructor(templates: Iterable<ParsedTemplate>) {
    for (const { definitions } of templates)
      for (const [name, nodes] of definitions) this.#definitions.set(name, nodes);
  }

  /** Renders a template. Throws a user error if the template calls `fail`. */
  run({ nodes }: ParsedTemplate, dot: unknown): string {
    return this.#run(nodes, dot, new Map([["", dot]]));
  }

  #run(nodes: readonly Node[], dot: unknown, scope: Scope): string {
    let text = "";
    for (const node of nodes) text += this.#runNode(node, dot, scope);
    return text;
  }

  #runNode(node: Node, dot: unknown, scope: Scope): string {
    switch (node.kind) {
      case "text":
        return node.text;
      case "output":
        return textOfValue(this.#evaluate(node.value, dot, scope));
      case "variable":
        scope.set(node.name, this.#evaluate(node.value, dot, scope));
        return "";
      case "if":
      case "with": {
        const value = this.#evaluate(node.value, dot, scope);
        if (!isTrue(value)) return this.#run(node.otherwise, dot, new Map(scope));
        return this.#run(node.body, node.kind === "with" ? value : dot, new Map(scope));
      }
      case "range":
        return this.#runRange(node, dot, scope);
    }
  }

  #runRange({ names, value, body, otherwise }: Node & { readonly kind: "range" }, dot: unknown, scope: Scope): string {
    const entries = entriesOf(this.#evaluate(value, dot, scope));
    if (entries.length === 0) return this.#run(otherwise, dot, new Map(scope));
    return entries
      .map(([key, element]) => {
        const inner = new Map(scope);
        const [first, second] = names;
        if (second !== undefined) inner.set(first ?? "", key).set(second, element);
        else if (first !== undefined) inner.set(first, element);
        return this.#run(body, element, inner);
      })
      .join("");
  }

  #evaluate(expression: Expression, dot: unknown, scope: Scope): unknown {
    switch (expression.kind) {
      case "literal":
        return expression.value;
      case "dot":
        return dot;
      case "variable":
        if (!scope.has(expression.name))
          throw internalError("template-variable", `there is no variable $${expression.name}`);
        return scope.get(expression.name);
      case "field":
        return fieldOf(this.#evaluate(expression.of, dot, scope), expression.name);
      case "invoke": {
        const target = this.#evaluate(expression.target, dot, scope);
        if (typeof target !== "function")
          throw internalError("template-call", "something that is no function was given arguments");
        return (target as (...args: readonly unknown[]) => unknown)(
          ...expression.args.map((argument) => this.#evaluate(argument, dot, scope)),
        );
      }
      case "call":
        return this.#call(expression, dot, scope);
    }
  }

  #call({ name, args }: Expression & { readonly kind: "call" }, dot: unknown, scope: Scope): unknown {
    const values = (): unknown[] => args.map((argument) => this.#evaluate(argument, dot, scope));
    if (name === "include") {
      const [template, argument] = values();
      const nodes = this.#definitions.get(String(template));
      if (nodes === undefined) throw internalError("template-unknown", `there is no template ${String(template)}`);
      return this.#run(nodes, argument, new Map([["", argument]]));
    }
    // `and` and `or` stop at the first deciding value.
    if (name === "and" || name === "or") {
      let value: unknown;
      for (const argument of args) {
        value = this.#evaluate(argument, dot, scope);
        if (isTrue(value) === (name === "or")) break;
      }
      return value;
    }
    const found = templateFunctions[name];
    if (found === undefined) throw internalError("template-function", `there is no function ${name}`);
    return found(...values());
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** The entries of a list, or of a map sorted by key. */
function entriesOf(value: unknown): (readonly [string | number, unknown])[] {
  if (Array.isArray(value)) return value.map((element: unknown, index) => [index, element] as const);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
