import { LocalRateLimitSchema, type LocalRateLimit } from "../../wire/envoy/index.ts";
import { LocalRateLimitSettings, TokenBucket } from "../filters/local-rate-limit-filter.ts";
import type { Tokens } from "../filters/tokens.ts";
import { checkFields, durationOr, invalid, type ConfigNotes } from "./config-check.ts";
import { fractionOf } from "./fraction.ts";
import { compileMutation } from "./header-mutation-config.ts";

const tooManyRequests = 429;
/** Shorter intervals would be another limit than they say. */
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
    ],
    harmless: ["stage", "vhRateLimits", "alwaysConsumeDefaultTokenBucket"],
  });
  const code: number = message.status?.code ?? tooManyRequests;
  return new LocalRateLimitSettings({
    bucket: bucketOf(message, where, notes),
    status: code < 400 ? tooManyRequests : code,
    // A filter without a percentage of enabled requests counts none.
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

/** A route's own settings. Without a bucket there would be no limit. */
export function compileLocalRateLimitPerRoute(
  message: LocalRateLimit,
  where: string,
  notes: ConfigNotes,
): LocalRateLimitSettings {
  if (message.tokenBucket === undefined)
    throw invalid(where, "tokenBucket must be set; to limit nothing here, turn the filter off");
  return compileLocalRateLimit(message, where, notes);
}

function bucketOf(message: LocalRateLimit, where: string, notes: ConfigNotes): Tokens | undefined {
  const bucket = message.tokenBucket;
  if (bucket === undefined) return undefined;
  const fillIntervalMs = durationOr(bucket.fillInterval, 0);
  if (fillIntervalMs < minFillIntervalMs)
    throw invalid(where, `tokenBucket.fillInterval must be at least ${minFillIntervalMs} ms, got ${fillIntervalMs} ms`);
  if (bucket.maxTokens < 1) throw invalid(where, "tokenBucket.maxTokens must be at least 1");
  // It would never be filled again.
  if (bucket.tokensPerFill === 0) throw invalid(where, "tokenBucket.tokensPerFill must be at least 1");
  const { buckets, clock } = notes.services;
  const size = { max: bucket.maxTokens, perFill: bucket.tokensPerFill ?? 1, fillIntervalMs };
  return buckets?.make(size) ?? new TokenBucket({ ...size, clock });
}
