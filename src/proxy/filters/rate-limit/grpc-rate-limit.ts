import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { transientError } from "../../../base/index.ts";
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
  type HeaderValue,
} from "../../../wire/envoy/index.ts";
import type { Descriptor } from "../../routing/route.ts";
import { serviceLimitFields } from "./limit-fields.ts";
import { fieldsOf } from "../service-fields.ts";
import { callGrpc, type GrpcTarget } from "../../terms/grpc-call.ts";
import type { AskRateLimit } from "./rate-limit-filter.ts";

const path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/** Asks with Envoy's call `RateLimitService.ShouldRateLimit`. */
export function grpcRateLimit(target: GrpcTarget): AskRateLimit {
  return async (domain, descriptors, signal) => {
    const request = create(RateLimitRequestSchema, { domain, descriptors: descriptors.map(messageOf) });
    const bytes = await callGrpc(target, path, toBinary(RateLimitRequestSchema, request), signal, failed);
    const answer = fromBinary(RateLimitResponseSchema, bytes);
    const { overallCode: code, rawBody, dynamicMetadata } = answer;
    if (code !== RateLimitResponse_Code.OK && code !== RateLimitResponse_Code.OVER_LIMIT)
      throw failed(`with the code ${RateLimitResponse_Code[code] ?? code}`);
    return {
      limited: code === RateLimitResponse_Code.OVER_LIMIT,
      requestFields: sentFields(answer.requestHeadersToAdd),
      responseFields: sentFields(answer.responseHeadersToAdd),
      limitFields: serviceLimitFields(answer.statuses),
      body: Buffer.from(rawBody),
      metadata: dynamicMetadata,
    };
  };
}

function sentFields(headers: readonly HeaderValue[]): (readonly [name: string, value: string])[] {
  return fieldsOf(headers.map((header) => ({ header })));
}

function failed(answer: string): Error {
  return transientError("rate-limit-failed", `the rate limit service answered ${answer}`);
}

type DescriptorInit = NonNullable<MessageInitShape<typeof RateLimitRequestSchema>["descriptors"]>[number];

function messageOf({ entries, limit, hits }: Descriptor): DescriptorInit {
  return {
    entries: entries.map(({ key, value }) => ({ key, value })),
    ...(limit === undefined ? {} : { limit }),
    ...(hits === undefined ? {} : { hitsAddend: BigInt(hits.count), isNegativeHits: hits.refills }),
  };
}
