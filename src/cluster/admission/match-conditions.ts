import type * as Cel from "@bufbuild/cel";
import type { AdmissionRequest } from "./request.ts";
import type { Webhook } from "./webhook-configurations.ts";

type CelModule = typeof Cel;
type Program = (bindings: Readonly<Record<string, unknown>>) => unknown;

/** Above this number of expressions, the cache is cleared. */
const maximumPrograms = 256;

/**
 * Evaluates webhooks' `matchConditions`, which are CEL over `object`, `oldObject` and `request`. Loads the evaluator on
 * first use.
 */
export class MatchConditions {
  readonly #programs = new Map<string, Program>();
  #module: Promise<CelModule> | undefined;

  /** Whether all conditions hold. Throws if a condition cannot be evaluated and no other one is false. */
  async hold(webhook: Webhook, request: AdmissionRequest, admission: unknown): Promise<boolean> {
    const conditions = webhook.matchConditions ?? [];
    if (conditions.length === 0) return true;
    this.#module ??= import("@bufbuild/cel");
    const cel = await this.#module;
    const bindings = {
      object: request.object ?? null,
      oldObject: request.oldObject ?? null,
      request: admission,
    } as Readonly<Record<string, unknown>>;
    let fault: Error | undefined;
    for (const { name, expression } of conditions) {
      const result = this.#evaluate(cel, expression, bindings);
      if (result === false) return false;
      if (result !== true)
        fault ??= new Error(
          `matchCondition "${name}" of webhook "${webhook.name}" gave no boolean: ${result instanceof Error ? result.message : String(result)}`,
        );
    }
    if (fault !== undefined) throw fault;
    return true;
  }

  #evaluate(cel: CelModule, expression: string, bindings: Readonly<Record<string, unknown>>): boolean | Error {
    try {
      let program = this.#programs.get(expression);
      if (program === undefined) {
        if (this.#programs.size >= maximumPrograms) this.#programs.clear();
        const { DYN } = cel.CelScalar;
        const environment = cel.celEnv({ variables: { object: DYN, oldObject: DYN, request: DYN } });
        program = cel.plan(environment, cel.parse(expression)) as unknown as Program;
        this.#programs.set(expression, program);
      }
      const result = program(bindings);
      return typeof result === "boolean" || result instanceof Error ? result : new Error("another type");
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}
