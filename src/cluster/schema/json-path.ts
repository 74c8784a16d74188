import { isObject } from "./json.ts";

type Step =
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "slice"; readonly from: number; readonly to: number | undefined }
  | { readonly kind: "all" }
  | { readonly kind: "descend"; readonly name: string }
  | { readonly kind: "filter"; readonly path: readonly Step[]; readonly operator: Operator; readonly value: unknown }
  | { readonly kind: "union"; readonly steps: readonly Step[] };

/**
 * The maximum number of values that one evaluation visits. Usual columns visit fewer than a hundred. Without a limit, a
 * path such as `..a..a..a` takes exponential time.
 */
const maxVisitedValues = 100_000;

const maxFilterDepth = 8;

type Operator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "exists";

/**
 * A compiled JSONPath, of the subset that printer columns and selectable fields use
 * (`.status.conditions[?(@.type=="Ready")].status`).
 */
export class JsonPath {
  readonly #steps: readonly Step[];

  private constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** Parses a path. Throws an Error with the position of the first fault. */
  static parse(text: string): JsonPath {
    const inner = text.startsWith("{") && text.endsWith("}") ? text.slice(1, -1) : text;
    return new JsonPath(new PathParser(inner).parse());
  }

  /** All values at the path. The list is empty if the search would visit more than {@link maxVisitedValues} values. */
  find(root: unknown): unknown[] {
    const walker = new Walker();
    const values = walker.walk(this.#steps, root);
    return walker.isExhausted ? [] : values;
  }

  first(root: unknown): unknown {
    return this.find(root)[0];
  }
}

/** One evaluation of a path. It finds nothing more after it has visited too many values. */
class Walker {
  #visited = 0;

  get isExhausted(): boolean {
    return this.#visited > maxVisitedValues;
  }

  walk(steps: readonly Step[], root: unknown): unknown[] {
    return steps.reduce<unknown[]>((values, step) => values.flatMap((value) => this.#take(step, value)), [root]);
  }

  #take(step: Step, value: unknown): unknown[] {
    if (!this.#visit()) return [];
    switch (step.kind) {
      case "field":
        return isObject(value) && Object.hasOwn(value, step.name) && value[step.name] !== undefined
          ? [value[step.name]]
          : [];
      case "index": {
        const item: unknown = Array.isArray(value) ? value.at(step.index) : undefined;
        return item === undefined ? [] : [item];
      }
      case "slice":
        return Array.isArray(value) ? value.slice(step.from, step.to) : [];
      case "all":
        return Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
      case "descend":
        return this.#descend(step.name, value);
      case "filter":
        return (Array.isArray(value) ? value : []).filter((item) => this.#holds(step, item));
      case "union":
        return step.steps.flatMap((branch) => this.#take(branch, value));
    }
  }

  #descend(name: string, value: unknown): unknown[] {
    if (!this.#visit()) return [];
    if (Array.isArray(value)) return value.flatMap((item) => this.#descend(name, item));
    if (!isObject(value)) return [];
    const own = Object.hasOwn(value, name) ? [value[name]] : [];
    return [...own, ...Object.values(value).flatMap((item) => this.#descend(name, item))];
  }

  #holds(filter: Extract<Step, { kind: "filter" }>, item: unknown): boolean {
    if (!this.#visit()) return false;
    const found = this.walk(filter.path, item);
    if (filter.operator === "exists") return found.length > 0;
    return found.some((value) => compare(value, filter.operator, filter.value));
  }

  /** Counts a value. Returns false if the limit is exceeded. */
  #visit(): boolean {
    this.#visited++;
    return !this.isExhausted;
  }
}

function compare(left: unknown, operator: Operator, right: unknown): boolean {
  const [a, b] = typeof left === typeof right ? [left, right] : [String(left), String(right)];
  switch (operator) {
    case "==":
      return a === b;
    case "!=":
      return a !== b;
    case "exists":
      return true;
    case "<":
    case "<=":
    case ">":
    case ">=": {
      if ((typeof a !== "number" || typeof b !== "number") && (typeof a !== "string" || typeof b !== "string"))
        return false;
      if (operator === "<") return a < b;
      if (operator === "<=") return a <= b;
      return operator === ">" ? a > b : a >= b;
    }
  }
}

class PathParser {
  readonly #text: string;
  readonly #filterDepth: number;
  #at = 0;

  constructor(text: string, filterDepth = 0) {
    this.#text = text.trim();
    this.#filterDepth = filterDepth;
  }

  parse(): Step[] {
    if (this.#text[this.#at] === "$" || this.#text[this.#at] === "@") this.#at++;
    const steps: Step[] = [];
    while (this.#at < this.#text.length) steps.push(this.#step());
    return steps;
  }

  #step(): Step {
    const head = this.#text[this.#at];
    if (head === "[") return this.#bracket();
    if (head === ".") {
      this.#at++;
      if (this.#text[this.#at] === ".") {
        this.#at++;
        return { kind: "descend", name: this.#name() };
      }
      if (this.#text[this.#at] === "[") return this.#bracket();
    }
    if (this.#text[this.#at] === "*") {
      this.#at++;
      return { kind: "all" };
    }
    return { kind: "field", name: this.#name() };
  }

  #name(): string {
    let name = "";
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] ?? "";
      if (character === "\\") {
        name += this.#text[this.#at + 1] ?? "";
        this.#at += 2;
      } else if (character === "." || character === "[" || character === "]") break;
      else {
        name += character;
        this.#at++;
      }
    }
    if (name === "") throw this.#fault("a field name is missing");
    return name;
  }

  #bracket(): Step {
    const start = this.#at + 1;
    const end = this.#closing(start);
    const content = this.#text.slice(start, end).trim();
    this.#at = end + 1;
    if (content === "*") return { kind: "all" };
    if (content.startsWith("?(") && content.endsWith(")")) return this.#filter(content.slice(2, -1).trim());
    const parts = splitOutsideQuotes(content);
    const steps = parts.map((part) => this.#element(part.trim()));
    const [only] = steps;
    return steps.length === 1 && only !== undefined ? only : { kind: "union", steps };
  }

  #closing(start: number): number {
    let quote = "";
    let depth = 0;
    for (let index = start; index < this.#text.length; index++) {
      const character = this.#text[index] ?? "";
      if (quote !== "") {
        if (character === quote) quote = "";
      } else if (character === "'" || character === '"') quote = character;
      else if (character === "[") depth++;
      else if (character === "]" && depth-- === 0) return index;
    }
    throw this.#fault("a bracket is not closed");
  }

  #element(part: string): Step {
    if (/^-?\d+$/.test(part)) return { kind: "index", index: Number(part) };
    const slice = /^(-?\d*):(-?\d*)$/.exec(part);
    if (slice !== null)
      return { kind: "slice", from: Number(slice[1]), to: slice[2] === "" ? undefined : Number(slice[2]) };
    const quoted = /^(['"])(.*)\1$/s.exec(part);
    if (quoted?.[2] !== undefined) return { kind: "field", name: quoted[2] };
    throw this.#fault(`"${part}" is not an index, slice or quoted name`);
  }

  #filter(content: string): Step {
    const match = /^(@[^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+))?$/s.exec(content);
    if (match?.[1] === undefined) throw this.#fault(`"${content}" is not a filter`);
    if (this.#filterDepth === maxFilterDepth) throw this.#fault(`filters are nested more than ${maxFilterDepth} deep`);
    const path = new PathParser(match[1].trim(), this.#filterDepth + 1).parse();
    if (match[2] === undefined || match[3] === undefined)
      return { kind: "filter", path, operator: "exists", value: undefined };
    return { kind: "filter", path, operator: match[2] as Operator, value: literal(match[3].trim()) };
  }

  #fault(detail: string): Error {
    return new Error(`JSONPath "${this.#text}": ${detail}`);
  }
}

function splitOutsideQuotes(text: string): string[] {
  return text.match(/(?:'[^']*'|"[^"]*"|[^,])+/g) ?? [text];
}

function literal(text: string): unknown {
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  if (quoted !== null) return quoted[2];
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text === "true" ? true : text === "false" ? false : text;
}
