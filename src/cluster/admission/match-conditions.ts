import { loadPackage } from "../../base/index.ts";
import { cachedCompile, outOfBudget, untypedCel, type CelLibrary, type MeteredCel } from "../../base/cel/index.ts";
import type { AdmissionRequest } from "./request.ts";
import type { Webhook } from "./webhook-configurations.ts";

/** Above this number of expressions, the cache is cleared. */
const maximumPrograms = 256;
/** The limit for the cost of all conditions of one webhook, as in Kubernetes. */
const maxCost = 2_500_000;

/** Compiles CEL over these variables. Loads the evaluator, so call it on first use. */
export function admissionCompiler(variables: readonly string[]): MeteredCel["compile"] {
  return cachedCompile(untypedCel(loadPackage<CelLibrary>("@bufbuild/cel"), variables), maximumPrograms);
}

/**
 * Evaluates webhooks' `matchConditions`, which are CEL over `object`, `oldObject` and `request`. Loads the evaluator on
 * first use.
 */
export class MatchConditions {
  #compile: MeteredCel["compile"] | undefined;

  /** Whether all conditions hold. Throws if a condition cannot be evaluated and no other one is false. */
  hold(webhook: Webhook, request: AdmissionRequest, admission: unknown): boolean {
    const conditions = webhook.matchConditions ?? [];
    if (conditions.length === 0) return true;
    const compile = (this.#compile ??= admissionCompiler(["object", "oldObject", "request"]));
    const bindings = {
      object: request.object ?? null,
      oldObject: request.oldObject ?? null,
      request: admission,
    } as Readonly<Record<string, unknown>>;
    let fault: Error | undefined;
    let left = maxCost;
    for (const { name, expression } of conditions) {
      const { value: result, cost } = evaluate(compile, expression, bindings);
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
