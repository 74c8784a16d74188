import { createHash } from "node:crypto";
import { canonicalJson, jsonEqual, ownField, threadCpuTimeMs } from "../../../base/index.ts";
import { costExceeded, outOfBudget, type MeteredProgram } from "../../../base/cel/index.ts";
import type { FieldError } from "../contract.ts";
import { fieldErrors, omitted } from "../field-error.ts";
import { readKnownRules } from "../generated-data.ts";
import { childPath, isObject, type JsonObject } from "../json.ts";
import { optionalValue } from "./cel/kubernetes-functions.ts";
import { loadCel, type Cel } from "./cel/library.ts";
import { CelValues } from "./cel/values.ts";
import { propertySchema, type StructuralSchema, type ValidationRule } from "./structural-schema.ts";

/** The limit for the cost of all rules of one object, as in Kubernetes. */
const maxCost = 10_000_000;
/** An additional cost of each evaluation, for the conversion of values. Kubernetes does not have this cost. */
const evaluationCost = 100;
const maxMilliseconds = 2_000;
/** The maximum length of a message that an expression computes. As in Kubernetes, a longer message is ignored. */
const maxMessageCharacters = 5 * 1024;

interface CompiledRule {
  readonly rule: ValidationRule;
  readonly program: MeteredProgram;
  readonly message: MeteredProgram | undefined;
  readonly usesOldSelf: boolean;
}

interface VisitedValue {
  readonly schema: StructuralSchema;
  readonly value: unknown;
  /** The value before the update, or undefined if there was none. */
  readonly old: unknown;
  readonly path: string;
  readonly isRoot: boolean;
}

interface Budget {
  /** The cost that the remaining rules may have. No further rule runs when it is negative. */
  cost: number;
  readonly deadline: number;
}

/** Evaluates the `x-kubernetes-validations` of a schema. A rule is compiled when it first runs. */
export class RuleValidator {
  readonly #schema: StructuralSchema;
  readonly #now: () => number;
  readonly #compiled = new Map<StructuralSchema, readonly CompiledRule[]>();
  readonly #hasRules = new Map<StructuralSchema, boolean>();

  constructor(schema: StructuralSchema, now: () => number = threadCpuTimeMs) {
    this.#schema = schema;
    this.#now = now;
  }

  /**
   * Validates an object. `old` is the stored object of an update. Without it, transition rules (`oldSelf`) run only if
   * they have `optionalOldSelf`. With it, other rules are skipped for unchanged parts.
   */
  validate(object: JsonObject, old: JsonObject | undefined): FieldError[] {
    if (!this.#containsRules(this.#schema)) return [];
    const cel = loadCel();
    const walk = new RuleWalk(
      cel,
      (schema) => this.#rulesOf(cel, schema),
      (schema) => this.#containsRules(schema),
      this.#now,
    );
    return walk.run(this.#schema, object, old);
  }

  get any(): boolean {
    return this.#containsRules(this.#schema);
  }

  /** The errors of rules that cannot be compiled. `path` is the path of the schema in the CRD. */
  compileErrors(path: string): FieldError[] {
    return this.#containsRules(this.#schema) ? this.#compileErrors(this.#schema, path) : [];
  }

  #compileErrors(schema: StructuralSchema, path: string): FieldError[] {
    const errors: FieldError[] = [];
    for (const [index, rule] of (schema["x-kubernetes-validations"] ?? []).entries()) {
      try {
        if (!isKnown(rule)) compileRule(loadCel(), rule);
      } catch (error) {
        errors.push(
          fieldErrors.invalid(
            `${childPath(`${path}.x-kubernetes-validations`, index)}.rule`,
            rule.rule,
            `compilation failed: ${error instanceof Error ? error.message : String(error)}`,
          ),
        );
      }
    }
    for (const [name, child] of children(schema))
      if (this.#containsRules(child)) errors.push(...this.#compileErrors(child, `${path}.${name}`));
    return errors;
  }

  #containsRules(schema: StructuralSchema): boolean {
    const known = this.#hasRules.get(schema);
    if (known !== undefined) return known;
    const has =
      (schema["x-kubernetes-validations"] ?? []).length > 0 ||
      children(schema).some(([, child]) => this.#containsRules(child));
    this.#hasRules.set(schema, has);
    return has;
  }

  #rulesOf(cel: Cel, schema: StructuralSchema): readonly CompiledRule[] {
    const known = this.#compiled.get(schema);
    if (known !== undefined) return known;
    const compiled = (schema["x-kubernetes-validations"] ?? []).map((rule) => compileRule(cel, rule));
    this.#compiled.set(schema, compiled);
    return compiled;
  }
}

function children(schema: StructuralSchema): [string, StructuralSchema][] {
  const result: [string, StructuralSchema][] = Object.entries(schema.properties ?? {}).map(([name, child]) => [
    `properties[${name}]`,
    child,
  ]);
  if (typeof schema.additionalProperties === "object")
    result.push(["additionalProperties", schema.additionalProperties]);
  if (schema.items !== undefined) result.push(["items", schema.items]);
  for (const [index, child] of (schema.allOf ?? []).entries()) result.push([`allOf[${index}]`, child]);
  return result;
}

let knownRules: ReadonlySet<string> | undefined;

function isKnown({ rule, messageExpression }: ValidationRule): boolean {
  const known = (knownRules ??= readKnownRules());
  const has = (text: string): boolean => known.has(createHash("sha256").update(text).digest("hex").slice(0, 16));
  return has(rule) && (messageExpression === undefined || messageExpression === "" || has(messageExpression));
}

function compileRule(cel: Cel, rule: ValidationRule): CompiledRule {
  const expression = rule.messageExpression ?? "";
  return {
    rule,
    program: cel.compile(rule.rule),
    message: expression === "" ? undefined : cel.compile(expression),
    usesOldSelf: /\boldSelf\b/.test(rule.rule),
  };
}

class RuleWalk {
  readonly #cel: Cel;
  readonly #rulesOf: (schema: StructuralSchema) => readonly CompiledRule[];
  readonly #containsRules: (schema: StructuralSchema) => boolean;
  readonly #now: () => number;
  readonly #values: CelValues;
  readonly #budget: Budget;
  readonly #errors: FieldError[] = [];

  constructor(
    cel: Cel,
    rulesOf: (schema: StructuralSchema) => readonly CompiledRule[],
    containsRules: (schema: StructuralSchema) => boolean,
    now: () => number,
  ) {
    this.#cel = cel;
    this.#rulesOf = rulesOf;
    this.#containsRules = containsRules;
    this.#now = now;
    this.#values = new CelValues(cel.library);
    this.#budget = { cost: maxCost, deadline: now() + maxMilliseconds };
  }

  run(schema: StructuralSchema, object: JsonObject, old: JsonObject | undefined): FieldError[] {
    this.#visit({ schema, value: object, old, path: "", isRoot: true });
    return this.#errors;
  }

  #visit(place: VisitedValue): void {
    const { schema, value, old, path } = place;
    if (value === null || value === undefined || !this.#containsRules(schema)) return;
    for (const rule of this.#rulesOf(schema)) this.#evaluate(rule, place);
    for (const part of schema.allOf ?? []) this.#visit({ ...place, schema: part });
    if (Array.isArray(value)) this.#visitItems(schema, value, old, path);
    else if (isObject(value)) this.#visitFields(schema, value, old, path);
  }

  #visitItems(schema: StructuralSchema, value: readonly unknown[], old: unknown, path: string): void {
    const { items } = schema;
    if (items === undefined) return;
    const keys = schema["x-kubernetes-list-type"] === "map" ? (schema["x-kubernetes-list-map-keys"] ?? []) : [];
    const before = keys.length > 0 && Array.isArray(old) ? new ItemsByKeys(keys, old) : undefined;
    for (const [index, item] of value.entries())
      this.#visit({
        schema: items,
        value: item,
        old: before?.withKeysOf(item),
        path: childPath(path, index),
        isRoot: false,
      });
  }

  #visitFields(schema: StructuralSchema, value: JsonObject, old: unknown, path: string): void {
    const comparable = schema["x-kubernetes-map-type"] !== "atomic" && isObject(old) ? old : undefined;
    for (const [key, item] of Object.entries(value)) {
      const property = propertySchema(schema, key);
      const field = { value: item, old: ownField(comparable, key), isRoot: false };
      if (property !== undefined) this.#visit({ ...field, schema: property, path: childPath(path, key) });
      else if (typeof schema.additionalProperties === "object")
        this.#visit({ ...field, schema: schema.additionalProperties, path: `${path}[${key}]` });
    }
  }

  #evaluate(compiled: CompiledRule, { schema, value, old, path, isRoot }: VisitedValue): void {
    const { rule, program, usesOldSelf } = compiled;
    const isOptional = rule.optionalOldSelf === true;
    if (usesOldSelf && old === undefined && !isOptional) return;
    if (!usesOldSelf && old !== undefined && jsonEqual(old, value)) return;
    if (this.#budget.cost < 0) return;
    const text = rule.message?.trim() ?? rule.rule.trim();
    const oldSelf = old === undefined ? undefined : this.#values.convert(schema, old, isRoot);
    const bindings = {
      self: this.#values.convert(schema, value, isRoot),
      oldSelf: isOptional ? optionalValue(oldSelf) : (oldSelf ?? null),
    };
    const { value: result, cost } = program(bindings);
    this.#budget.cost -= cost + evaluationCost;
    if (this.#cel.library.isCelError(result) && result.message === costExceeded)
      return this.#stop(
        path,
        schema,
        `'${costExceeded}': no further validation rules will be run due to call cost exceeds limit for rule: ${text}`,
      );
    if (this.#budget.cost < 0 || this.#now() > this.#budget.deadline) return this.#stop(path, schema, outOfBudget);
    if (result === true) return;
    if (this.#cel.library.isCelError(result)) {
      this.#errors.push(fieldErrors.invalid(path, schema.type ?? "", `${result.message} evaluating rule: ${text}`));
      return;
    }
    this.#errors.push(failure(schema, rule, this.#message(compiled, bindings), value, path));
    if (this.#budget.cost < 0)
      this.#stop(path, schema, `messageExpression evaluation ${outOfBudget.slice("validation ".length)}`);
  }

  #stop(path: string, schema: StructuralSchema, reason: string): void {
    this.#errors.push(fieldErrors.invalid(path, schema.type ?? "", reason));
    this.#budget.cost = -1;
  }

  #message(compiled: CompiledRule, bindings: Parameters<MeteredProgram>[0]): string {
    const { rule, message } = compiled;
    const evaluation = message?.(bindings);
    this.#budget.cost -= evaluation?.cost ?? 0;
    const text = typeof evaluation?.value === "string" ? evaluation.value.trim() : "";
    if (text !== "" && text.length <= maxMessageCharacters) return text;
    return rule.message ?? `failed rule: ${rule.rule.trim()}`;
  }
}

/** The items of an old list. {@link withKeysOf} finds the item with the same keys as a new item. */
class ItemsByKeys {
  readonly #keys: readonly string[];
  readonly #items = new Map<string, unknown>();

  constructor(keys: readonly string[], list: readonly unknown[]) {
    this.#keys = keys;
    for (const item of list.toReversed()) if (isObject(item)) this.#items.set(this.#keyOf(item), item);
  }

  withKeysOf(item: unknown): unknown {
    return isObject(item) ? this.#items.get(this.#keyOf(item)) : undefined;
  }

  #keyOf(item: JsonObject): string {
    return canonicalJson(this.#keys.map((key) => ownField(item, key)));
  }
}

function failure(
  schema: StructuralSchema,
  rule: ValidationRule,
  detail: string,
  value: unknown,
  path: string,
): FieldError {
  const field =
    rule.fieldPath === undefined ? path : `${path}${path === "" ? rule.fieldPath.replace(/^\./, "") : rule.fieldPath}`;
  switch (rule.reason) {
    case "FieldValueForbidden":
      return fieldErrors.forbidden(field, detail);
    case "FieldValueRequired":
      return fieldErrors.required(field, detail);
    case "FieldValueDuplicate":
      return fieldErrors.duplicate(field, value);
    default:
      return fieldErrors.invalid(field, schema.type === "object" || schema.type === "array" ? omitted : value, detail);
  }
}
