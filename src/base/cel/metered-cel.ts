import { threadCpuTimeMs } from "../clock.ts";
import { BoundedCache } from "../bounded-cache.ts";
import type { CelEnv, CelInput, CelList, CelValue } from "@bufbuild/cel";
import { callCost, traversalFactor, ValueSizes, type CelLibrary } from "./call-cost.ts";
import { loopFunctions, meterLoops } from "./meter-loops.ts";

/** The cost limit of one evaluation, equal to Kubernetes'. */
export const perCallLimit = 1_000_000;
/** Kubernetes' message if the validation rules of one object cost too much together. */
export const outOfBudget =
  "validation failed due to running out of cost budget, no further validation rules will be run";
export const costExceeded = "operation cancelled: actual cost limit exceeded";

/**
 * The maximum CPU time of an evaluation that may cost {@link perCallLimit}. An ordinary evaluation of this cost takes
 * far less, because a unit takes about as long as in Kubernetes.
 */
const maxCallMs = 1000;
const callsPerLookAtTheClock = 100;

type CelEnvOptions = NonNullable<Parameters<CelLibrary["celEnv"]>[0]>;

export interface CelEvaluation {
  /** A CelError if the expression has no value. */
  readonly value: unknown;
  readonly cost: number;
}

/** Evaluates the expression. The result has no value if the evaluation costs more than `limit`. */
export type MeteredProgram = (bindings: Readonly<Record<string, unknown>>, limit?: number) => CelEvaluation;

interface Callable {
  call(id: number, target: CelValue | undefined, operands: readonly CelValue[]): unknown;
}

/** The environment with replaced functions. `replace` gets a function's name, and the function if it exists. */
export function withFunctions(
  environment: CelEnv,
  replace: (name: string, found: Callable | undefined) => Callable | undefined,
): CelEnv {
  const { funcs } = environment;
  const find = (name: string): Callable | undefined => replace(name, funcs.find(name));
  return Object.create(environment, { funcs: { value: { find } } }) as CelEnv;
}

export function untypedCel(library: CelLibrary, variables: readonly string[]): MeteredCel {
  const { DYN } = library.CelScalar;
  return new MeteredCel(library, { variables: Object.fromEntries(variables.map((name) => [name, DYN])) });
}

/** Compiles each expression only once. Forgets all programs when a new one would exceed `maxPrograms`. */
export function cachedCompile(cel: MeteredCel, maxPrograms: number): MeteredCel["compile"] {
  const programs = new BoundedCache<string, MeteredProgram>(maxPrograms);
  return (expression) => {
    let program = programs.get(expression);
    if (program === undefined) {
      program = cel.compile(expression);
      programs.set(expression, program);
    }
    return program;
  };
}

/**
 * Evaluates CEL with a cost limit. The library has none, so nested loops over lists could run without end. Each call
 * and each turn of a loop is charged as in Kubernetes. An expression that exceeds the limit has no value, whatever
 * operators surround the part that exceeds it.
 */
export class MeteredCel {
  readonly library: CelLibrary;
  readonly #environment: CelEnv;
  readonly #now: () => number;
  readonly #sizes: ValueSizes;
  readonly #arrays = new WeakMap<CelList, CelInput[]>();
  #spent = 0;
  #limit = perCallLimit;
  #calls = 0;
  #deadline = 0;

  constructor(library: CelLibrary, options: CelEnvOptions, now: () => number = threadCpuTimeMs) {
    this.library = library;
    this.#now = now;
    this.#sizes = new ValueSizes(library);
    this.#environment = withFunctions(
      library.celEnv(options),
      (name, found) => this.#loopFunction(name) ?? this.#metered(name, found),
    );
  }

  /** The cost of the latest evaluation, even if it threw an error. */
  get spent(): number {
    return this.#spent;
  }

  /** Throws an Error if the expression is not valid CEL. */
  compile(expression: string): MeteredProgram {
    const parsed = this.library.parse(expression);
    const baseCost = meterLoops(parsed.expr);
    const plan = this.library.plan(this.#environment, parsed) as unknown as (bindings: unknown) => unknown;
    return (bindings, limit = perCallLimit) => {
      this.#spent = baseCost;
      this.#limit = limit;
      this.#calls = 0;
      this.#deadline = this.#now() + (maxCallMs * limit) / perCallLimit;
      const value = plan(bindings);
      return { value, cost: this.#spent };
    };
  }

  /**
   * Throws an error that ends the whole evaluation. A CelError would be an operand, and a `||` in the expression could
   * hide it.
   */
  #charge(cost: number): void {
    this.#spent += cost;
    this.#calls += 1;
    if (this.#calls % callsPerLookAtTheClock === 0 && this.#now() > this.#deadline)
      this.#spent = Math.max(this.#spent, this.#limit + 1);
    if (this.#spent > this.#limit) throw new Error(costExceeded);
  }

  #metered(name: string, callable: Callable | undefined): Callable | undefined {
    if (callable === undefined) return undefined;
    return {
      call: (id, target, operands) => {
        const all = target === undefined ? operands : [target, ...operands];
        this.#sizes.begin(this.#limit - this.#spent);
        this.#charge(callCost(name, all, this.#sizes));
        return name === "_+_"
          ? (this.#concatenated(all) ?? callable.call(id, target, operands))
          : callable.call(id, target, operands);
      },
    };
  }

  /**
   * Copies both lists into a new one. The library would only chain them, and reading a chain of n lists takes time
   * proportional to n².
   */
  #concatenated([left, right]: readonly CelValue[]): CelList | undefined {
    const { isCelList, celList } = this.library;
    return isCelList(left) && isCelList(right) ? celList([...left, ...right]) : undefined;
  }

  #loopFunction(name: string): Callable | undefined {
    switch (name) {
      case loopFunctions.range:
        return {
          call: (_id, _target, [range]) => {
            this.#charge(Math.floor(this.#sizes.items(range) * traversalFactor));
            return range;
          },
        };
      case loopFunctions.turn:
        return {
          call: (_id, _target, [condition, cost]) => {
            this.#charge(Number(cost));
            return condition;
          },
        };
      case loopFunctions.append:
        return { call: (id, _target, [list, more]) => this.#append(id, list, more) };
      default:
        return undefined;
    }
  }

  /** Appends in place, because nothing but the loop uses the list before the loop ends. */
  #append(id: number, list: CelValue | undefined, more: CelValue | undefined): unknown {
    const { isCelList, celList, celError } = this.library;
    if (!isCelList(list) || !isCelList(more)) return celError("no such overload: _+_", id);
    this.#charge(1);
    const array = this.#arrays.get(list) ?? [...list];
    array.push(...more);
    const longer = celList(array);
    this.#arrays.set(longer, array);
    return longer;
  }
}
