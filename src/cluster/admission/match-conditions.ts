import { MeteredCel, type CelLibrary, type MeteredProgram } from "../../base/cel/index.ts";
import type { AdmissionRequest } from "./request.ts";
import type { Webhook } from "./webhook-configurations.ts";

/** Above this number of expressions, the cache is cleared. */
const maximumPrograms = 256;
/** The limit for the cost of all conditions of one webhook, as in Kubernetes. */
const maxCost = 2_500_000;
const outOfBudget = "validation failed due to running out of cost budget, no further validation rules will be run";

/**
 * Evaluates webhooks' `matchConditions`, which are CEL over `object`, `oldObject` and `request`. Loads the evaluator on
 * first use.
 */
export class MatchConditions {
  readonly #programs = new Map<string, MeteredProgram>();
  #cel: Promise<MeteredCel> | undefined;

  /** Whether all conditions hold. Throws if a condition cannot be evaluated and no other one is false. */
  async hold(webhook: Webhook, request: AdmissionRequest, admission: unknown): Promise<boolean> {
    const conditions = webhook.matchConditions ?? [];
    if (conditions.length === 0) return true;
    this.#cel ??= load();
    const cel = await this.#cel;
    const bindings = {
      object: request.object ?? null,
      oldObject: request.oldObject ?? null,
      request: admission,
    } as Readonly<Record<string, unknown>>;
    let fault: Error | undefined;
    let left = maxCost;
    for (const { name, expression } of conditions) {
      const { value: result, cost } = this.#evaluate(cel, expression, bindings);
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

  #evaluate(
    cel: MeteredCel,
    expression: string,
    bindings: Readonly<Record<string, unknown>>,
  ): { readonly value: boolean | Error; readonly cost: number } {
    try {
      let program = this.#programs.get(expression);
      if (program === undefined) {
        if (this.#programs.size >= maximumPrograms) this.#programs.clear();
        program = cel.compile(expression);
        this.#programs.set(expression, program);
      }
      const { value, cost } = program(bindings);
      return { value: typeof value === "boolean" || value instanceof Error ? value : new Error("another type"), cost };
    } catch (error) {
      return { value: error instanceof Error ? error : new Error(String(error)), cost: 0 };
    }
  }
}

async function load(): Promise<MeteredCel> {
  const library: CelLibrary = await import("@bufbuild/cel");
  const { DYN } = library.CelScalar;
  return new MeteredCel(library, { variables: { object: DYN, oldObject: DYN, request: DYN } });
}
