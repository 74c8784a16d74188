import { regexSize } from "../regex-size/index.ts";
import type * as Cel from "@bufbuild/cel";
import type { CelList, CelMap, CelValue } from "@bufbuild/cel";

/**
 * The evaluator's module. It takes a tenth of a second to load, so it is loaded with the first expression, and not at
 * the start.
 */
export type CelLibrary = typeof Cel;

// Kubernetes' costs (k8s.io/apiserver/pkg/cel/library/cost.go, cel-go's runtimecost.go): a tenth of a unit for each
// character or item that a call may read, and a quarter for each character of a regular expression.
export const traversalFactor = 0.1;
const patternFactor = 0.25;
/** A regular expression with more instructions for each character than this costs more than in Kubernetes. */
const ordinaryRepetition = 10;
/**
 * A regular expression with at most this many instructions costs the same as in Kubernetes, because a short one such as
 * `^.{1,253}$` is ordinary.
 */
const ordinarySize = 1_000;
/** The units for compiling one instruction of a regular expression, which takes 2 µs. */
const compileFactor = 4;

function traversalCost(size: number): number {
  return Math.ceil(size * traversalFactor);
}

type Operand = CelValue | undefined;
type CostRule = (operands: readonly Operand[], values: ValueSizes) => number;

/**
 * The cost of a call, which is computed before it runs. The operands of a method call begin with the method's target.
 */
export function callCost(name: string, operands: readonly Operand[], values: ValueSizes): number {
  return Math.max(1, (rules[name] ?? defaultRule)(operands, values));
}

/** For a call without a rule of its own, because it may read all its operands. */
const defaultRule: CostRule = (operands, values) =>
  traversalCost(operands.reduce<number>((sum, operand) => sum + values.deep(operand), 0));

const equality: CostRule = ([a, b], values) => traversalCost(values.compared(a, b));

const order: CostRule = ([a, b], values) => traversalCost(Math.min(values.shallow(a), values.shallow(b)));

const search: CostRule = ([text, wanted], values) => {
  if (typeof text === "string") return traversalCost(text.length) * Math.max(1, traversalCost(values.shallow(wanted)));
  return values.items(text) + traversalCost(Math.min(values.deep(wanted) * values.items(text), values.deep(text)));
};

const pattern: CostRule = ([text, expression], values) => {
  const length = values.shallow(expression);
  const size = typeof expression === "string" ? regexSize(expression) : 0;
  // Kubernetes counts only characters, but `a{1000}` is compiled to 1,000 instructions.
  const repeated = size > Math.max(length * ordinaryRepetition, ordinarySize) ? size : 0;
  return (
    traversalCost(1 + values.shallow(text)) * Math.ceil(Math.max(length, repeated) * patternFactor) +
    repeated * compileFactor
  );
};

const eachWithEach: CostRule = ([a, b], values) => values.items(a) * values.items(b) + defaultRule([a, b], values);

/** Counts the result too, because a replacement may make the text longer. */
const replacement: CostRule = ([text, wanted, by]) => {
  if (typeof text !== "string" || typeof wanted !== "string" || typeof by !== "string") return 1;
  const count = wanted === "" ? text.length + 1 : text.split(wanted).length - 1;
  return traversalCost(2 * text.length + count * by.length);
};

const joining: CostRule = ([list, separator], values) =>
  traversalCost(2 * (values.deep(list) + values.items(list) * values.shallow(separator ?? "")));

const constant: CostRule = () => 1;

const rules: Readonly<Record<string, CostRule>> = {
  "_==_": equality,
  "_!=_": equality,
  "_<_": order,
  "_<=_": order,
  "_>_": order,
  "_>=_": order,
  "_+_": ([a, b], values) => traversalCost(values.shallow(a) + values.shallow(b)),
  "@in": ([wanted, range], values) =>
    values.isMap(range) ? traversalCost(values.shallow(wanted)) : search([range, wanted], values),
  size: ([value]) => (typeof value === "string" ? traversalCost(value.length) : 1),
  dyn: constant,
  type: constant,
  contains: search,
  indexOf: search,
  lastIndexOf: search,
  matches: pattern,
  find: pattern,
  findAll: pattern,
  replace: replacement,
  split: ([text], values) => traversalCost(2 * values.shallow(text)),
  join: joining,
  "sets.contains": eachWithEach,
  "sets.equivalent": (operands, values) => 2 * eachWithEach(operands, values),
  "sets.intersects": eachWithEach,
};

/**
 * Measures how much of a value a call reads. Measuring stops at a limit, because a list may contain another list twice,
 * that list a third one twice, and so on, so that nobody could ever count all items.
 */
export class ValueSizes {
  readonly #cel: CelLibrary;
  /** The number of items that may still be counted. */
  #left = 0;

  constructor(cel: CelLibrary) {
    this.#cel = cel;
  }

  /** Begins to measure a call that may cost at most `maxCost`. A size beyond it is only known to be beyond it. */
  begin(maxCost: number): void {
    this.#left = Math.max(0, maxCost) / traversalFactor;
  }

  isMap(value: Operand): value is CelMap {
    return this.#cel.isCelMap(value);
  }

  items(value: Operand): number {
    return this.#cel.isCelList(value) || this.#cel.isCelMap(value) ? value.size : 1;
  }

  /** The characters or items of the value itself. */
  shallow(value: Operand): number {
    return typeof value === "string" || value instanceof Uint8Array ? value.length : this.items(value);
  }

  /** The characters and items of the value and of everything in it. */
  deep(value: Operand): number {
    if (this.#cel.isCelList(value)) return this.#sum(value, (item) => this.deep(item));
    if (this.#cel.isCelMap(value)) return this.#sum(value, ([key, item]) => this.deep(key) + this.deep(item));
    return Math.max(1, this.shallow(value));
  }

  #sum<Item>(items: Iterable<Item>, sizeOf: (item: Item) => number): number {
    let total = 1;
    for (const item of items) {
      this.#left -= 1;
      total += this.#left < 0 ? beyond : sizeOf(item);
      if (total >= beyond) return beyond;
    }
    return total;
  }

  /** The number of characters and items that a comparison reads until it finds a difference. */
  compared(a: Operand, b: Operand): number {
    return this.#compare(a, b).size;
  }

  #compare(a: Operand, b: Operand): { readonly size: number; readonly differ: boolean } {
    if (typeof a === "string" && typeof b === "string") return { size: Math.min(a.length, b.length), differ: a !== b };
    if (a instanceof Uint8Array && b instanceof Uint8Array)
      return { size: Math.min(a.length, b.length), differ: a.length !== b.length };
    if (this.#cel.isCelList(a) && this.#cel.isCelList(b) && a.size === b.size)
      return this.#compareAll(a.size, pairsOfLists(a, b));
    if (this.#cel.isCelMap(a) && this.#cel.isCelMap(b) && a.size === b.size)
      return this.#compareAll(a.size, pairsOfMaps(a, b));
    return { size: 1, differ: typeof a !== "object" && typeof a === typeof b && a !== b };
  }

  #compareAll(size: number, pairs: Iterable<readonly [Operand, Operand]>): { size: number; differ: boolean } {
    let total = Math.min(1, size);
    for (const [left, right] of pairs) {
      this.#left -= 1;
      if (this.#left < 0) return { size: beyond, differ: true };
      const { size: looked, differ } = this.#compare(left, right);
      total += looked;
      if (differ) return { size: total, differ };
    }
    return { size: total, differ: false };
  }
}

/**
 * A size above every limit. Its sums and products are above every limit too, although doubles do not hold them exactly.
 */
const beyond = 1e15;

function* pairsOfLists(a: CelList, b: CelList): Iterable<readonly [Operand, Operand]> {
  for (let index = 0; index < a.size; index += 1) yield [a.get(index), b.get(index)];
}

function* pairsOfMaps(a: CelMap, b: CelMap): Iterable<readonly [Operand, Operand]> {
  for (const [key, value] of a) yield [value, b.get(key)];
}
