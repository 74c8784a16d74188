import type { UntypedObject } from "../../api/index.ts";
import { messageOf } from "../../base/index.ts";
import { cachedCompile, outOfBudget, type CelLibrary, type MeteredCel } from "../../base/cel/index.ts";
import type { Authorizer } from "../auth/index.ts";
import { kubernetesCel } from "../schema/crd/cel/library.ts";
import { CelValues } from "../schema/crd/cel/values.ts";
import { fieldErrors } from "../schema/field-error.ts";
import { authorizerFunctions, authorizerValue } from "./authorizer-functions.ts";
import { AdmissionRefusal, nameOf, subjectOf, type AdmissionRequest } from "./request.ts";
import type { Webhook } from "./webhook-configurations.ts";

/** The maximum number of compiled expressions in the cache. A further expression empties the cache. */
const maximumPrograms = 256;
/** The limit for the cost of all conditions of one webhook, as in Kubernetes. */
const maxCost = 2_500_000;

/** CEL for policies and conditions. `compile` compiles an expression, and `library` converts values for it. */
export interface AdmissionCel {
  readonly library: CelLibrary;
  readonly compile: MeteredCel["compile"];
}

/**
 * Creates CEL with these variables and the variable `authorizer`. It loads the evaluator, so callers call it only when
 * they need it.
 */
export function admissionCel(variables: readonly string[], authorizer: Authorizer): AdmissionCel {
  const cel = kubernetesCel([...variables, "authorizer"], (library) => authorizerFunctions(library, authorizer));
  return { library: cel.library, compile: cachedCompile(cel, maximumPrograms) };
}

export interface PlacedExpression {
  readonly path: string;
  readonly text: string;
}

/** The operators of CEL's optional fields: `a.?b`, `a[?b]`, `[?a]` and `{?a: b}`. */
const optionalSyntax = /\.\?|[[{,]\s*\?/;

/**
 * Refuses a policy or a webhook configuration with an expression that cannot be compiled. Does not check expressions
 * that the stored object already has, so that this release can change an object that another one stored. An expression
 * with optional fields causes only a warning: Kubernetes supports them, and a chart with such a policy could otherwise
 * not be installed.
 */
export function checkExpressions(
  cel: AdmissionCel,
  request: AdmissionRequest,
  expressionsOf: (object: UntypedObject | undefined) => readonly PlacedExpression[],
): void {
  const stored = new Set(expressionsOf(request.oldObject).map(({ text }) => text));
  const causes = expressionsOf(request.object).flatMap(({ path, text }) => {
    try {
      if (!stored.has(text)) cel.compile(text);
      return [];
    } catch (error) {
      if (optionalSyntax.test(text)) {
        request.warnings.push(
          `${path}: this cluster cannot evaluate optional fields (.? and [?]), so its failure policy applies; use has() instead`,
        );
        return [];
      }
      return [fieldErrors.invalid(path, text, `compilation failed: ${messageOf(error)}`)];
    }
  });
  if (causes.length === 0) return;
  const { kind, group } = request.type;
  const list = causes.map(({ field, message }) => `${field}: ${message}`);
  throw new AdmissionRefusal(
    422,
    "Invalid",
    `${kind}.${group} "${nameOf(request)}" is invalid: ${list.length === 1 ? list[0] : `[${list.join(", ")}]`}`,
    causes,
    { ...subjectOf(request), kind },
  );
}

export function conditionExpressions(
  path: string,
  conditions: readonly { readonly expression: string }[] | undefined,
): readonly PlacedExpression[] {
  return (conditions ?? []).map(({ expression }, index) => ({
    path: `${path}[${index}].expression`,
    text: expression,
  }));
}

/** The values of a request as CEL's variables. Whole numbers are `int`, as in Kubernetes. */
export function admissionValues(
  { library }: AdmissionCel,
  request: AdmissionRequest,
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const convert = new CelValues(library);
  const converted = Object.entries(values).map(([name, value]) => [name, convert.convert(undefined, value)] as const);
  return { ...Object.fromEntries(converted), authorizer: authorizerValue(request) };
}

/**
 * Evaluates webhooks' `matchConditions`, which are CEL over `object`, `oldObject` and `request`. Loads the evaluator on
 * first use.
 */
export class MatchConditions {
  readonly #authorizer: Authorizer;
  #cel: AdmissionCel | undefined;

  constructor(authorizer: Authorizer) {
    this.#authorizer = authorizer;
  }

  check(request: AdmissionRequest): void {
    const webhooksOf = (object: UntypedObject | undefined): readonly Webhook[] =>
      (object?.["webhooks"] as readonly Webhook[] | null | undefined) ?? [];
    if (webhooksOf(request.object).every(({ matchConditions = [] }) => matchConditions.length === 0)) return;
    checkExpressions(this.#loaded(), request, (object) =>
      webhooksOf(object).flatMap(({ matchConditions }, index) =>
        conditionExpressions(`webhooks[${index}].matchConditions`, matchConditions),
      ),
    );
  }

  #loaded(): AdmissionCel {
    return (this.#cel ??= admissionCel(["object", "oldObject", "request"], this.#authorizer));
  }

  /** Whether all conditions are true. Throws if no condition is false, but one cannot be evaluated. */
  hold(webhook: Webhook, request: AdmissionRequest, admission: unknown): boolean {
    const conditions = webhook.matchConditions ?? [];
    if (conditions.length === 0) return true;
    const cel = this.#loaded();
    const { object, oldObject } = request;
    const bindings = admissionValues(cel, request, { object, oldObject, request: admission });
    let fault: Error | undefined;
    let left = maxCost;
    for (const { name, expression } of conditions) {
      const { value: result, cost } = evaluate(cel.compile, expression, bindings);
      left -= cost;
      if (left < 0) throw new Error(`matchCondition "${name}" of webhook "${webhook.name}": ${outOfBudget}`);
      if (result === false) return false;
      if (result !== true)
        fault ??= new Error(
          `matchCondition "${name}" of webhook "${webhook.name}" did not return a boolean: ${result instanceof Error ? result.message : String(result)}`,
        );
    }
    if (fault !== undefined) throw fault;
    return true;
  }
}

function evaluate(
  compile: MeteredCel["compile"],
  expression: string,
  bindings: Readonly<Record<string, unknown>>,
): { readonly value: boolean | Error; readonly cost: number } {
  try {
    const { value, cost } = compile(expression)(bindings);
    return { value: typeof value === "boolean" || value instanceof Error ? value : new Error("another type"), cost };
  } catch (error) {
    return { value: error instanceof Error ? error : new Error(String(error)), cost: 0 };
  }
}
