import {
  LocalRateLimitDescriptorSchema,
  LocalRateLimitSchema,
  type LocalRateLimit,
  type LocalRateLimitDescriptor,
  type TokenBucket as TokenBucketMessage,
} from "../../../wire/envoy/index.ts";
import { DescriptorLimits, isOpen, keyOf, type DescriptorLimit } from "../../filters/rate-limit/descriptor-limits.ts";
import {
  LocalRateLimitSettings,
  type DescriptorLimitSettings,
  type LocalLimits,
} from "../../filters/rate-limit/local-rate-limit-filter.ts";
import { TokenBucket, type BucketSize, type Tokens } from "../../filters/tokens.ts";
import { checkFields, durationOr, invalid, type ConfigNotes } from "../config-check.ts";
import { fractionOf } from "../fraction.ts";
import { compileMutation } from "../header-mutation-config.ts";
import {
  checkStage,
  compileFilterRules,
  hostRulesOf,
  refusalStatus,
  resourceExhausted,
  sendsLimitFields,
} from "../rate-limits/rate-limit-config.ts";

/**
 * The shortest interval in which a bucket may be filled. With shorter ones, the limit would differ from the configured
 * one.
 */
const minFillIntervalMs = 50;

export function compileLocalRateLimit(
  message: LocalRateLimit,
  where: string,
  notes: ConfigNotes,
): LocalRateLimitSettings {
  checkFields(LocalRateLimitSchema, message, where, notes, {
    used: [
      "statPrefix",
      "status",
      "tokenBucket",
      "filterEnabled",
      "filterEnforced",
      "responseHeadersToAdd",
      "requestHeadersToAddWhenNotEnforced",
      "descriptors",
      "stage",
      "vhRateLimits",
      "alwaysConsumeDefaultTokenBucket",
      "rateLimits",
      "maxDynamicDescriptors",
      "enableXRatelimitHeaders",
      "rateLimitedAsResourceExhausted",
      "localRateLimitPerDownstreamConnection",
    ],
  });
  checkStage(message.stage, where);
  const perConnection = message.localRateLimitPerDownstreamConnection;
  // One thread serves a connection to its end, so the connection's buckets need not be shared.
  const limits = compileLimits(message, perConnection ? ownBuckets(notes) : sharedBuckets(notes), where, notes);
  return new LocalRateLimitSettings({
    limits: limits(),
    limitsOfConnection: perConnection ? limits : undefined,
    status: refusalStatus(message.status),
    grpcStatus: message.rateLimitedAsResourceExhausted ? resourceExhausted : undefined,
    sendsLimitFields: sendsLimitFields(message.enableXRatelimitHeaders),
    // Without a percentage of enabled requests, the filter counts no request.
    enabled: fractionOf(message.filterEnabled?.defaultValue, 0),
    enforced: fractionOf(message.filterEnforced?.defaultValue, 0),
    answer: compileMutation(message.responseHeadersToAdd, [], "response", `${where}: responseHeadersToAdd`, notes),
    unenforced: compileMutation(
      message.requestHeadersToAddWhenNotEnforced,
      [],
      "request",
      `${where}: requestHeadersToAddWhenNotEnforced`,
      notes,
    ),
    statPrefix: message.statPrefix,
  });
}

/** Compiles a route's own settings. Refuses settings without a bucket, because they would limit nothing. */
export function compileLocalRateLimitPerRoute(
  message: LocalRateLimit,
  where: string,
  notes: ConfigNotes,
): LocalRateLimitSettings {
  if (message.tokenBucket === undefined)
    throw invalid(where, "tokenBucket must be set; to limit nothing here, turn the filter off");
  return compileLocalRateLimit(message, where, notes);
}

/** Checks the limits. Returns a function that makes their tokens. */
function compileLimits(
  message: LocalRateLimit,
  make: MakeBucket,
  where: string,
  notes: ConfigNotes,
): () => LocalLimits {
  const size = message.tokenBucket === undefined ? undefined : sizeOf(message.tokenBucket, where);
  const descriptors = compileDescriptors(message, make, where, notes);
  return () => ({ bucket: size === undefined ? undefined : make(size), descriptors: descriptors?.() });
}

type MakeBucket = (size: BucketSize) => Tokens;

function ownBuckets({ services: { clock } }: ConfigNotes): MakeBucket {
  return (size) => new TokenBucket({ ...size, clock });
}

function sharedBuckets(notes: ConfigNotes): MakeBucket {
  const { buckets } = notes.services;
  return buckets === undefined ? ownBuckets(notes) : (size) => buckets.make(size);
}

function sizeOf(bucket: TokenBucketMessage, where: string): BucketSize {
  const fillIntervalMs = durationOr(bucket.fillInterval, 0);
  if (fillIntervalMs < minFillIntervalMs)
    throw invalid(where, `tokenBucket.fillInterval must be at least ${minFillIntervalMs} ms, got ${fillIntervalMs} ms`);
  if (bucket.maxTokens < 1) throw invalid(where, "tokenBucket.maxTokens must be at least 1");
  // An empty bucket with this setting would never be filled again.
  if (bucket.tokensPerFill === 0) throw invalid(where, "tokenBucket.tokensPerFill must be at least 1");
  return { max: bucket.maxTokens, perFill: bucket.tokensPerFill ?? 1, fillIntervalMs };
}

/** How many combinations of values are counted at once for one descriptor, as in Envoy. */
const defaultMaxOpen = 20;

function compileDescriptors(
  message: LocalRateLimit,
  make: MakeBucket,
  where: string,
  notes: ConfigNotes,
): (() => DescriptorLimitSettings) | undefined {
  const { stage, maxDynamicDescriptors: maxOpen = defaultMaxOpen } = message;
  // Compile the rules even if no limit needs them, so that errors in them are reported.
  const rules = compileFilterRules(message.rateLimits, ["actions", "hitsAddend"], where, notes);
  if (message.descriptors.length === 0) return undefined;
  if (maxOpen < 1) throw invalid(where, "maxDynamicDescriptors must be at least 1");
  const seen = new Set<string>();
  const limits = message.descriptors.map((descriptor, index) => {
    const here = `${where}: descriptors[${index}]`;
    const limit = compileDescriptor(descriptor, make, here, notes);
    const key = keyOf(limit.entries);
    if (seen.has(key)) throw invalid(here, "an earlier descriptor has the same entries");
    seen.add(key);
    return limit;
  });
  const settings = {
    rules,
    stage,
    hostRules: hostRulesOf(message.vhRateLimits),
    alwaysBucket: message.alwaysConsumeDefaultTokenBucket ?? true,
  };
  return () => ({ ...settings, limits: new DescriptorLimits(limits, maxOpen) });
}

function compileDescriptor(
  message: LocalRateLimitDescriptor,
  make: MakeBucket,
  where: string,
  notes: ConfigNotes,
): DescriptorLimit {
  checkFields(LocalRateLimitDescriptorSchema, message, where, notes, {
    used: ["entries", "tokenBucket", "shadowMode"],
  });
  const entries = message.entries.map(({ key, value }) => ({ key, value }));
  if (entries.length === 0) throw invalid(where, "entries must have at least one entry");
  if (entries.some(({ key }) => key === "")) throw invalid(where, "entries: key must not be empty");
  if (message.tokenBucket === undefined) throw invalid(where, "tokenBucket must be set");
  const size = sizeOf(message.tokenBucket, where);
  const open = entries.some(isOpen);
  if (open && notes.services.buckets !== undefined)
    notes.tell(`${where} has an entry without a value: each worker of this proxy counts its limits alone`);
  return {
    entries,
    isShadow: message.shadowMode,
    make: () => (open ? ownBuckets(notes) : make)(size),
    fillRate: size.perFill / size.fillIntervalMs,
  };
}
