import {
  ExpressionDescriptorSchema,
  RateLimitSchema,
  VhRateLimitsOptions,
  type ExpressionDescriptor,
  type HttpStatus,
  type RateLimit,
  type RateLimit_Override,
  type TypedExtensionConfig,
} from "../../../wire/envoy/index.ts";
import { compileRequestExpression } from "../../record/request-expression.ts";
import type { HostRules } from "../../routing/describe-request.ts";
import type { Descriptor, DescriptorEntry, RateLimitRule } from "../../routing/route.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileDescriptorAction, type DescriptorAction } from "./descriptor-action-config.ts";
import { compileHits } from "./rate-limit-hits-config.ts";
import { contentTypeUrl, unpack } from "../typed-struct.ts";

const maxStage = 10;
const tooManyRequests = 429;
export const resourceExhausted = 8;

export function checkStage(stage: number, where: string): void {
  if (stage > maxStage) throw invalid(where, `stage must be from 0 to ${maxStage}, got ${stage}`);
}

/** The status of a refused request. As in Envoy, a configured status that is not an error is ignored. */
export function refusalStatus(configured: HttpStatus | undefined): number {
  const code: number = configured?.code ?? tooManyRequests;
  return code < 400 ? tooManyRequests : code;
}

/** The values of {@link HostRules} by their number, which is the same in Envoy's two enumerations. */
const hostRules: Readonly<Record<number, HostRules>> = {
  [VhRateLimitsOptions.OVERRIDE]: "override",
  [VhRateLimitsOptions.INCLUDE]: "include",
  [VhRateLimitsOptions.IGNORE]: "ignore",
};

/** The value DRAFT_VERSION_03, which has the same number in both of Envoy's enumerations. */
const draftVersion3 = 1;

/** The field `enableXRatelimitHeaders` of a filter: whether responses show clients their limits. */
export function sendsLimitFields(version: number): boolean {
  return version === draftVersion3;
}

export function hostRulesOf(vhRateLimits: number): HostRules {
  return hostRules[vhRateLimits] ?? "override";
}

export function compileRouteRules(messages: readonly RateLimit[], where: string, notes: ConfigNotes): RateLimitRule[] {
  return messages.map((message, index) => {
    const here = `${where}: rateLimits[${index}]`;
    checkFields(RateLimitSchema, message, here, notes, {
      used: ["stage", "actions", "limit"],
      // This proxy has no runtime settings, so no key can disable a rule.
      harmless: ["disableKey", "hitsAddend"],
    });
    const stage = message.stage ?? 0;
    checkStage(stage, here);
    // As in Envoy, only the rules of a filter have an effect on the number of hits.
    if (message.hitsAddend !== undefined) notes.ignored(`${here}: hitsAddend`);
    return compileRule({ ...message, hitsAddend: undefined }, stage, here, notes);
  });
}

/**
 * Compiles the `rateLimits` of a filter, which replace those of routes. As in Envoy, they have no stage. Returns
 * undefined if there are none; then the `rateLimits` of routes apply.
 */
export function compileFilterRules(
  messages: readonly RateLimit[],
  used: readonly ("actions" | "limit" | "hitsAddend")[],
  where: string,
  notes: ConfigNotes,
): RateLimitRule[] | undefined {
  if (messages.length === 0) return undefined;
  return messages.map((message, index) => {
    const here = `${where}: rateLimits[${index}]`;
    checkFields(RateLimitSchema, message, here, notes, { used });
    return compileRule(message, 0, here, notes);
  });
}

type RuleMessage = Pick<RateLimit, "actions" | "limit" | "hitsAddend">;

function compileRule(message: RuleMessage, stage: number, where: string, notes: ConfigNotes): RateLimitRule {
  if (message.actions.length === 0) throw invalid(where, "actions must have at least one entry");
  const actions = message.actions.map(({ actionSpecifier }, index): DescriptorAction => {
    const here = `${where}.actions[${index}]`;
    return actionSpecifier.case === "extension"
      ? compileExtension(actionSpecifier.value, `${here}.extension`, notes)
      : compileDescriptorAction(actionSpecifier, here, notes);
  });
  const limit = message.limit === undefined ? {} : { limit: compileOverride(message.limit, where) };
  const hitsOf = message.hitsAddend === undefined ? undefined : compileHits(message.hitsAddend, where, notes);
  return {
    stage,
    describe: (request) => {
      const entries: DescriptorEntry[] = [];
      for (const action of actions) {
        const entry = action(request);
        if (entry === undefined) return undefined;
        if (entry !== "none") entries.push(entry);
      }
      if (entries.length === 0) return undefined;
      if (hitsOf === undefined) return { entries, ...limit };
      const hits = hitsOf(request);
      return hits === undefined ? undefined : { entries, ...limit, hits };
    },
  };
}

/**
 * Compiles the limit that a rate limit service applies instead of its own. Only rules for a rate limit service may have
 * one.
 */
function compileOverride(message: RateLimit_Override, where: string): NonNullable<Descriptor["limit"]> {
  const { overrideSpecifier: override } = message;
  if (override.case !== "rateLimit") throw unsupported(where, `limit.${override.case ?? "(none)"}`);
  return { requestsPerUnit: override.value.requestsPerUnit, unit: override.value.unit };
}

function compileExtension(extension: TypedExtensionConfig, where: string, notes: ConfigNotes): DescriptorAction {
  if (extension.typedConfig === undefined) throw invalid(where, "typedConfig must be set");
  const any = extension.typedConfig;
  const message = unpack(any, where);
  if (message?.$typeName !== ExpressionDescriptorSchema.typeName) throw unsupported(where, contentTypeUrl(any));
  const descriptor = message as ExpressionDescriptor;
  checkFields(ExpressionDescriptorSchema, descriptor, where, notes, {
    used: ["descriptorKey", "skipIfError", "text", "parsed"],
  });
  const { descriptorKey: key, skipIfError, exprSpecifier: source } = descriptor;
  if (key === "") throw invalid(where, "descriptorKey must not be empty");
  if (source.case === undefined) throw invalid(where, "text or parsed must be set");
  const evaluate = compileRequestExpression(source.value, (problem) =>
    unsupported(
      where,
      source.case === "text" ? `the expression "${source.value}" (${problem})` : `parsed (${problem})`,
    ),
  );
  return (request) => {
    const value = evaluate(request);
    return value === undefined ? (skipIfError ? "none" : undefined) : { key, value };
  };
}
