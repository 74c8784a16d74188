import type { LabelSelector, UntypedObject } from "../../api/index.ts";
import { messageOf, ownField } from "../../base/index.ts";
import { outOfBudget, type MeteredCel } from "../../base/cel/index.ts";
import type { Authorizer } from "../auth/index.ts";
import type { ResourceType, SchemaRegistry } from "../schema/contract.ts";
import { setOwn } from "../schema/json.ts";
import type { Store } from "../store/index.ts";
import { reviewOf } from "./admission-review.ts";
import type { AdmissionPlugin } from "./chain.ts";
import {
  admissionCel,
  admissionValues,
  checkExpressions,
  conditionExpressions,
  type AdmissionCel,
  type PlacedExpression,
} from "./match-conditions.ts";
import { parametersOf, policies, policyGroup, type ParamKind, type ParamRef } from "./policy-parameters.ts";
import { RequestMatcher, type MatchPolicy, type MatchRule } from "./request-matcher.ts";
import { AdmissionRefusal, subjectOf, type AdmissionRequest } from "./request.ts";

const variables = ["object", "oldObject", "request", "params", "namespaceObject", "variables"] as const;
/** The limit for the cost of all expressions of one policy, as in Kubernetes. */
const maxCost = 10_000_000;

interface MatchResources {
  readonly resourceRules?: readonly MatchRule[];
  readonly excludeResourceRules?: readonly MatchRule[];
  readonly matchPolicy?: MatchPolicy;
  readonly namespaceSelector?: LabelSelector;
  readonly objectSelector?: LabelSelector;
}

interface NamedExpression {
  readonly name: string;
  readonly expression: string;
}

interface Validation {
  readonly expression: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
}

/** The spec of a policy (admissionregistration.k8s.io/v1), as stored: the server has applied the defaults. */
interface PolicySpec {
  readonly failurePolicy?: "Fail" | "Ignore";
  readonly paramKind?: ParamKind;
  readonly matchConstraints?: MatchResources;
  readonly matchConditions?: readonly NamedExpression[];
  readonly variables?: readonly NamedExpression[];
  readonly validations?: readonly Validation[];
}

interface BindingSpec {
  readonly policyName?: string;
  readonly paramRef?: ParamRef;
  readonly matchResources?: MatchResources;
  readonly validationActions?: readonly string[];
}

interface Denial {
  readonly message: string;
  readonly reason: string;
}

const codes: Readonly<Record<string, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  Invalid: 422,
  RequestEntityTooLarge: 413,
};

export function validatingPolicies(parts: {
  readonly store: Store;
  readonly registry: SchemaRegistry;
  readonly authorizer: Authorizer;
}): AdmissionPlugin {
  const policies = new ValidatingPolicies(parts.store, parts.registry, parts.authorizer);
  return { name: "ValidatingAdmissionPolicy", validate: (request) => policies.validate(request) };
}

class ValidatingPolicies {
  readonly #store: Store;
  readonly #registry: SchemaRegistry;
  readonly #matcher: RequestMatcher;
  readonly #authorizer: Authorizer;
  #cel: AdmissionCel | undefined;

  constructor(store: Store, registry: SchemaRegistry, authorizer: Authorizer) {
    this.#authorizer = authorizer;
    this.#store = store;
    this.#registry = registry;
    this.#matcher = new RequestMatcher(store, registry);
  }

  validate(request: AdmissionRequest): void {
    if (request.type.storageKey === policies && request.subresource === "" && request.object !== undefined)
      checkExpressions(this.#loaded(), request, expressionsOf);
    // Policies do not apply to policies. Otherwise a broken policy would prevent its own repair.
    if (request.type.group === policyGroup && /^(?:validating|mutating)admissionpolic/.test(request.type.plural))
      return;
    for (const record of this.#store.collection(`${policyGroup}/validatingadmissionpolicybindings`).list()) {
      const binding = (record.object["spec"] ?? {}) as BindingSpec;
      const { policyName = "" } = binding;
      const policy = this.#store.latest(policies, "", policyName)?.object;
      if (policy === undefined) continue;
      const spec = (policy["spec"] ?? {}) as PolicySpec;
      const type = this.#typeFor(spec.matchConstraints, request);
      const bound = binding.matchResources;
      if (type === undefined || (bound !== undefined && this.#typeFor(bound, request, true) === undefined)) continue;
      const place = { policyName, binding: record.name, request };
      for (const parameters of this.#parametersFor(spec, binding.paramRef, place)) {
        const denial = this.#denialOf(spec, type, request, parameters);
        if (denial !== undefined) act(denial, { ...place, actions: binding.validationActions });
      }
    }
  }

  #loaded(): AdmissionCel {
    return (this.#cel ??= admissionCel(variables, this.#authorizer));
  }

  /**
   * The parameters of the policy. If the binding is misconfigured, `failurePolicy` decides: the function refuses the
   * request, or ignores the policy. `validationActions` has no effect on this.
   */
  #parametersFor(
    spec: PolicySpec,
    reference: ParamRef | undefined,
    place: Pick<Parameters<typeof act>[1], "policyName" | "binding" | "request">,
  ): readonly (UntypedObject | null)[] {
    const parts = { store: this.#store, registry: this.#registry };
    try {
      return parametersOf(parts, spec.paramKind, reference, place.request.namespace);
    } catch (error) {
      if (spec.failurePolicy === "Ignore") return [];
      const message = `failed to configure binding: ${messageOf(error)}`;
      act({ message, reason: "Invalid" }, { ...place, actions: ["Deny"] });
      return [];
    }
  }

  /** The version in which the policy gets the object. Returns undefined if the policy does not match the request. */
  #typeFor(match: MatchResources = {}, request: AdmissionRequest, isOptional = false): ResourceType | undefined {
    const { resourceRules = [], excludeResourceRules = [], matchPolicy } = match;
    if (!this.#matcher.selects(match, request)) return undefined;
    if (this.#matcher.typeFor(excludeResourceRules, matchPolicy, request) !== undefined) return undefined;
    if (isOptional && resourceRules.length === 0) return request.type;
    return this.#matcher.typeFor(resourceRules, matchPolicy, request);
  }

  #denialOf(
    spec: PolicySpec,
    type: ResourceType,
    request: AdmissionRequest,
    parameters: UntypedObject | null,
  ): Denial | undefined {
    const failed = (message: string): Denial | undefined =>
      spec.failurePolicy === "Ignore" ? undefined : { message, reason: "Invalid" };
    const cel = this.#loaded();
    const values = { ...this.#valuesOf(type, request), params: parameters };
    const run = new PolicyRun(cel.compile, admissionValues(cel, request, values));
    try {
      for (const { expression } of spec.matchConditions ?? []) if (run.value(expression) === false) return undefined;
      for (const { name, expression } of spec.variables ?? []) run.define(name, expression);
    } catch (error) {
      return failed(messageOf(error));
    }
    for (const { expression, message, messageExpression, reason = "Invalid" } of spec.validations ?? []) {
      let isValid: unknown;
      try {
        isValid = run.value(expression);
      } catch (error) {
        const denial = failed(messageOf(error));
        if (denial === undefined) continue;
        return denial;
      }
      if (isValid === true) continue;
      const text = run.text(messageExpression) ?? message ?? `failed expression: ${expression.trim()}`;
      return { message: text, reason };
    }
    return undefined;
  }

  #valuesOf(type: ResourceType, request: AdmissionRequest): Record<string, unknown> {
    const review = reviewOf(this.#registry, type, request).request as { object?: unknown; oldObject?: unknown };
    return {
      object: review.object ?? null,
      oldObject: review.oldObject ?? null,
      request: review,
      namespaceObject: this.#store.latest("/namespaces", "", request.namespace)?.object ?? null,
    };
  }
}

function expressionsOf(policy: UntypedObject | undefined): readonly PlacedExpression[] {
  const { matchConditions, variables = [], validations = [] } = (policy?.["spec"] ?? {}) as PolicySpec;
  const placed = (path: string, text = ""): PlacedExpression[] => (text === "" ? [] : [{ path, text }]);
  return [
    ...conditionExpressions("spec.matchConditions", matchConditions),
    ...conditionExpressions("spec.variables", variables),
    ...validations.flatMap(({ expression, messageExpression }, index) => [
      ...placed(`spec.validations[${index}].expression`, expression),
      ...placed(`spec.validations[${index}].messageExpression`, messageExpression),
    ]),
  ];
}

/** One evaluation of a policy. Its expressions share a budget and the policy's variables. */
class PolicyRun {
  readonly #compile: MeteredCel["compile"];
  readonly #bindings: Readonly<Record<string, unknown>>;
  readonly #variables: Record<string, unknown> = {};
  #left = maxCost;

  constructor(compile: MeteredCel["compile"], bindings: Readonly<Record<string, unknown>>) {
    this.#compile = compile;
    this.#bindings = bindings;
  }

  /** Evaluates an expression. Throws if the evaluation fails or the budget is used up. */
  value(expression: string): unknown {
    const { value, cost } = this.#compile(expression)({ ...this.#bindings, variables: this.#variables });
    this.#left -= cost;
    if (this.#left < 0) throw new Error(outOfBudget);
    if (value instanceof Error)
      throw new Error(`expression '${expression.trim()}' resulted in error: ${messageOf(value)}`);
    return value;
  }

  /** Defines a variable. If its evaluation fails, only the expressions that use the variable fail. */
  define(name: string, expression: string): void {
    try {
      setOwn(this.#variables, name, this.value(expression));
    } catch (error) {
      if (this.#left < 0) throw error;
    }
  }

  /**
   * The expression's value. Returns undefined if there is no expression, if its evaluation fails, or if the value is
   * not one line of text.
   */
  text(expression: string | undefined): string | undefined {
    if (expression === undefined || expression === "") return undefined;
    try {
      const value = this.value(expression);
      return typeof value === "string" && value.trim() !== "" && !value.includes("\n") ? value : undefined;
    } catch {
      return undefined;
    }
  }
}

/**
 * Acts on a denial as the binding's `validationActions` say: adds a warning, refuses the request, or both. Throws to
 * refuse.
 */
function act(
  { message, reason }: Denial,
  {
    policyName,
    binding,
    actions = ["Deny"],
    request,
  }: {
    readonly policyName: string;
    readonly binding: string;
    readonly actions: readonly string[] | undefined;
    readonly request: AdmissionRequest;
  },
): void {
  const where = `ValidatingAdmissionPolicy '${policyName}' with binding '${binding}'`;
  if (actions.includes("Warn")) request.warnings.push(`Validation failed for ${where}: ${message}`);
  if (!actions.includes("Deny")) return;
  const { name = "" } = subjectOf(request);
  const { plural, group: resourceGroup } = request.type;
  const resource = resourceGroup === "" ? plural : `${plural}.${resourceGroup}`;
  const denied = `${where} denied request: ${message}`;
  throw new AdmissionRefusal(
    ownField(codes, reason) ?? 422,
    reason,
    `${resource} "${name}" is forbidden: ${denied}`,
    [{ message: denied }],
    subjectOf(request),
  );
}
