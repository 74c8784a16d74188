import { isTree, type Tree, userError } from "../base/index.ts";
import { isTrue, templateFunctions, textOf } from "./go-template-functions.ts";
import {
  parseGoTemplate,
  type Operand,
  type ParsedTemplate,
  type Pipeline,
  type TemplateNode,
} from "./go-template-parser.ts";

/** The greatest depth of templates that call each other. */
const maxDepth = 50;
const maxCharacters = 1_048_576;

/** Renders a template of Go's text/template. Throws a user error if it is malformed or uses something unsupported. */
export function renderGoTemplate(text: string, data: Tree): string {
  const renderer = new Renderer(parseGoTemplate(text));
  return renderer.run(data);
}

/** The variables of a block, and of the enclosing blocks. */
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
    if (this.#outer === undefined) throw userError("template-failed", `there is no variable $${name}`);
    return this.#outer.#owner(name);
  }
}

class Renderer {
  readonly #template: ParsedTemplate;
  #out = "";
  #depth = 0;

  constructor(template: ParsedTemplate) {
    this.#template = template;
  }

  run(data: Tree): string {
    this.#body(this.#template.body, data, data);
    return this.#out;
  }

  #body(nodes: readonly TemplateNode[], dot: unknown, root: unknown): void {
    const scope = new Scope();
    scope.declare("", root);
    this.#nodes(nodes, dot, scope);
  }

  #write(text: string): void {
    this.#out += text;
    if (this.#out.length > maxCharacters)
      throw userError("template-failed", `gives more than ${maxCharacters} characters`);
  }

  #nodes(nodes: readonly TemplateNode[], dot: unknown, scope: Scope): void {
    for (const node of nodes) {
      if (node.kind === "text") this.#write(node.text);
      else if (node.kind === "action") this.#action(node.pipeline, dot, scope);
      else if (node.kind === "call") this.#call(node.name, node.pipeline, dot, scope);
      else this.#branch(node, dot, scope);
    }
  }

  #action(pipeline: Pipeline, dot: unknown, scope: Scope): void {
    const value = this.#value(pipeline, dot, scope);
    if (pipeline.declares.length === 0) this.#write(textOf(value));
  }

  #call(name: string, pipeline: Pipeline | undefined, dot: unknown, scope: Scope): void {
    const body = this.#template.defined.get(name);
    if (body === undefined) throw userError("template-failed", `there is no template "${name}" defined in it`);
    this.#depth += 1;
    if (this.#depth > maxDepth) throw userError("template-failed", `"${name}" calls itself without end`);
    const value = pipeline === undefined ? undefined : this.#value(pipeline, dot, scope);
    this.#body(body, value, value);
    this.#depth -= 1;
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
    if (first?.kind !== "function") {
      if (rest.length > 0 || piped.length > 0)
        throw userError("template-failed", "gives values to what is no function");
      return first === undefined ? undefined : this.#operand(first, dot, scope);
    }
    const call = Object.hasOwn(templateFunctions, first.name) ? templateFunctions[first.name] : undefined;
    if (call === undefined) throw userError("template-failed", `calls "${first.name}", which is not supported here`);
    return call(...rest.map((operand) => this.#operand(operand, dot, scope)), ...piped);
  }

  #operand(operand: Operand, dot: unknown, scope: Scope): unknown {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "dot":
        return operand.path.reduce(fieldOf, dot);
      case "variable":
        return operand.path.reduce(fieldOf, scope.get(operand.name));
      case "group":
        return operand.path.reduce(fieldOf, this.#value(operand.pipeline, dot, scope));
      case "function":
        return this.#command([operand], [], dot, scope);
    }
  }
}

function entriesOf(value: unknown): [unknown, unknown][] {
  if (Array.isArray(value)) return [...value.entries()];
  return isTree(value) ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)) : [];
}

/** A field by its JSON name or its Go name: `.Spec.Containers` is `spec.containers`, `.GetTracing` is `tracing`. */
function fieldOf(value: unknown, name: string): unknown {
  if (name === "String" || name === "GetValue") return value;
  if (!isTree(value)) return undefined;
  const plain = name.replace(/^Get(?=[A-Z])/, "");
  for (const candidate of [name, jsonName(name), plain, jsonName(plain)])
    if (Object.hasOwn(value, candidate)) return value[candidate];
  return undefined;
}

/** The JSON name of a Go field: `APIVersion` is `apiVersion`, `UID` is `uid`, `Containers` is `containers`. */
function jsonName(name: string): string {
  return name.replace(/^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+$|^[A-Z]/, (head) => head.toLowerCase());
}
