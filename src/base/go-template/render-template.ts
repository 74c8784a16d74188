import { isTree } from "../json.ts";
import { SerinError, messageOf } from "../errors.ts";
import { failed } from "./malformed.ts";
import { checkLength, RenderBudget } from "./render-budget.ts";
import type { Operand, ParsedTemplate, Pipeline, TemplateNode } from "./syntax.ts";
import { isTrue, textOf, type TemplateFunction } from "./values.ts";

export interface TemplateDialect {
  readonly functions: Readonly<Record<string, TemplateFunction>>;
  readonly fieldOf: (value: unknown, name: string) => unknown;
  /** What an action without a value writes. */
  readonly missing: string;
  /** Whether templates may call `include`, Helm's function that returns the text of another template. */
  readonly hasInclude: boolean;
}

/** Runs a template. Throws a user error if it uses something unsupported or exceeds its budget. */
export function renderTemplate(
  { body, defined }: ParsedTemplate,
  data: unknown,
  dialect: TemplateDialect,
  definitions: ParsedTemplate["defined"] = defined,
): string {
  return new Renderer(dialect, definitions).run(body, data);
}

/** The variables of a block. Those of the enclosing blocks are visible in it. */
class Scope {
  readonly #outer: Scope | undefined;
  readonly #values = new Map<string, unknown>();

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  declare(name: string, value: unknown): void {
    this.#values.set(name, value);
  }

  get(name: string): unknown {
    return this.#owner(name).#values.get(name);
  }

  assign(name: string, value: unknown): void {
    this.#owner(name).#values.set(name, value);
  }

  #owner(name: string): Scope {
    if (this.#values.has(name)) return this;
    if (this.#outer === undefined) throw failed(`there is no variable $${name}`);
    return this.#outer.#owner(name);
  }
}

class Renderer {
  readonly #dialect: TemplateDialect;
  readonly #definitions: ParsedTemplate["defined"];
  readonly #budget = new RenderBudget();
  #out = "";

  constructor(dialect: TemplateDialect, definitions: ParsedTemplate["defined"]) {
    this.#dialect = dialect;
    this.#definitions = definitions;
  }

  run(body: readonly TemplateNode[], data: unknown): string {
    this.#body(body, data);
    return this.#out;
  }

  #body(nodes: readonly TemplateNode[], root: unknown): void {
    const scope = new Scope();
    scope.declare("", root);
    this.#nodes(nodes, root, scope);
  }

  #write(text: string): void {
    this.#out += text;
    checkLength(this.#out.length);
  }

  #nodes(nodes: readonly TemplateNode[], dot: unknown, scope: Scope): void {
    for (const node of nodes) {
      this.#budget.step();
      if (node.kind === "text") this.#write(node.text);
      else if (node.kind === "action") this.#action(node.pipeline, dot, scope);
      else if (node.kind === "call") this.#call(node.name, node.pipeline, dot, scope);
      else this.#budget.within(() => this.#branch(node, dot, scope));
    }
  }

  #action(pipeline: Pipeline, dot: unknown, scope: Scope): void {
    const value = this.#value(pipeline, dot, scope);
    if (pipeline.declares.length > 0) return;
    this.#budget.result(value);
    this.#write(value === undefined || value === null ? this.#dialect.missing : textOf(value));
  }

  #call(name: string, pipeline: Pipeline | undefined, dot: unknown, scope: Scope): void {
    const body = this.#definition(name);
    const value = pipeline === undefined ? undefined : this.#value(pipeline, dot, scope);
    this.#budget.call(name, () => this.#body(body, value));
  }

  #include(name: unknown, value: unknown): string {
    const body = this.#definition(textOf(name));
    const before = this.#out;
    this.#out = "";
    this.#budget.call(textOf(name), () => this.#body(body, value));
    const text = this.#out;
    this.#out = before;
    return text;
  }

  #definition(name: string): readonly TemplateNode[] {
    const body = this.#definitions.get(name);
    if (body === undefined) throw failed(`there is no template "${name}" defined in it`);
    return body;
  }

  #branch(
    { kind, pipeline, body, otherwise }: Extract<TemplateNode, { readonly pipeline: Pipeline; readonly body: unknown }>,
    dot: unknown,
    outer: Scope,
  ): void {
    const scope = new Scope(outer);
    if (kind === "range") {
      this.#range(pipeline, body, otherwise, dot, scope);
      return;
    }
    const value = this.#value(pipeline, dot, scope);
    if (isTrue(value)) this.#nodes(body, kind === "with" ? value : dot, scope);
    else this.#nodes(otherwise, dot, scope);
  }

  #range(
    { declares, commands }: Pipeline,
    body: readonly TemplateNode[],
    otherwise: readonly TemplateNode[],
    dot: unknown,
    outer: Scope,
  ): void {
    const entries = entriesOf(this.#value({ declares: [], assigns: false, commands }, dot, outer));
    if (entries.length === 0) this.#nodes(otherwise, dot, outer);
    for (const [key, value] of entries) {
      this.#budget.step();
      const scope = new Scope(outer);
      const [first, second] = declares;
      if (second !== undefined) scope.declare(second, value);
      if (first !== undefined) scope.declare(first, second === undefined ? value : key);
      this.#nodes(body, value, scope);
    }
  }

  #value({ declares, assigns, commands }: Pipeline, dot: unknown, scope: Scope): unknown {
    let value: unknown;
    for (const [index, command] of commands.entries())
      value = this.#command(command, index === 0 ? [] : [value], dot, scope);
    const [name] = declares;
    if (name !== undefined) {
      if (assigns) scope.assign(name, value);
      else scope.declare(name, value);
    }
    return value;
  }

  #command([first, ...rest]: readonly Operand[], piped: readonly unknown[], dot: unknown, scope: Scope): unknown {
    this.#budget.step();
    const operands = rest.map((operand) => () => this.#operand(operand, dot, scope));
    if (first?.kind === "function")
      return this.#function(first.name, [...operands, ...piped.map((value) => () => value)]);
    const value = first === undefined ? undefined : this.#operand(first, dot, scope);
    if (rest.length === 0 && piped.length === 0) return value;
    // A field may be a function, such as `.Files.Get "x"`.
    if (typeof value !== "function") throw failed("passes arguments to something that is not a function");
    return this.#invoke(value as TemplateFunction, "a field", [...operands.map((operand) => operand()), ...piped]);
  }

  #function(name: string, args: readonly (() => unknown)[]): unknown {
    // `and` and `or` do not evaluate what follows the value that decides.
    if (name === "and" || name === "or") {
      let value: unknown;
      for (const argument of args) {
        value = argument();
        if (isTrue(value) === (name === "or")) break;
      }
      return value;
    }
    const { functions, hasInclude } = this.#dialect;
    const call =
      name === "include" && hasInclude
        ? (template: unknown, value: unknown) => this.#include(template, value)
        : Object.hasOwn(functions, name)
          ? functions[name]
          : undefined;
    if (call === undefined) throw failed(`calls "${name}", which is not supported here`);
    return this.#invoke(
      call,
      name,
      args.map((argument) => argument()),
    );
  }

  #invoke(call: TemplateFunction, name: string, args: readonly unknown[]): unknown {
    for (const argument of args) this.#budget.argument(argument);
    try {
      const result = call(...args);
      this.#budget.result(result);
      return result;
    } catch (error) {
      throw error instanceof SerinError ? error : failed(`${name} fails: ${messageOf(error)}`, error);
    }
  }

  #operand(operand: Operand, dot: unknown, scope: Scope): unknown {
    const { fieldOf } = this.#dialect;
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "dot":
        return operand.path.reduce(fieldOf, dot);
      case "variable":
        return operand.path.reduce(fieldOf, scope.get(operand.name));
      case "group":
        return operand.path.reduce(
          fieldOf,
          this.#budget.within(() => this.#value(operand.pipeline, dot, scope)),
        );
      case "function":
        return this.#command([operand], [], dot, scope);
    }
  }
}

/** The entries of a list by index, or of a map in the order of its keys. */
function entriesOf(value: unknown): [unknown, unknown][] {
  if (Array.isArray(value)) return [...value.entries()];
  return isTree(value) ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)) : [];
}
