import { fromBinary } from "@bufbuild/protobuf";
import { messageOf, userError } from "../../base/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
  type DeltaDiscoveryRequest,
  type DiscoveryRequest,
} from "../../wire/discovery/index.ts";

export interface ResourceRequest {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly rejection: string | undefined;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly known: Readonly<Record<string, string>>;
  /** The complete list of wanted names, and the version that the client has. Only for state of the world. */
  readonly whole: { readonly names: readonly string[]; readonly version: string } | undefined;
}

export type DiscoveryProtocol = "delta" | "state-of-the-world";

const maxTypeUrlLength = 256;

export function decodeRequest(
  protocol: DiscoveryProtocol,
  bytes: Uint8Array,
): DeltaDiscoveryRequest | DiscoveryRequest {
  const schema = protocol === "delta" ? DeltaDiscoveryRequestSchema : DiscoveryRequestSchema;
  let request: DeltaDiscoveryRequest | DiscoveryRequest;
  try {
    request = fromBinary<typeof DeltaDiscoveryRequestSchema | typeof DiscoveryRequestSchema>(schema, bytes);
  } catch (error) {
    throw userError("bad-request", `the request is not a valid ${schema.name}: ${messageOf(error)}`);
  }
  if (request.typeUrl === "" || request.typeUrl.length > maxTypeUrlLength)
    throw userError("bad-request", `the type URL of a request must have 1 to ${maxTypeUrlLength} characters`);
  return request;
}

export function resourceRequest(request: DeltaDiscoveryRequest | DiscoveryRequest): ResourceRequest {
  return request.$typeName === "envoy.service.discovery.v3.DeltaDiscoveryRequest"
    ? fromDelta(request)
    : fromWhole(request);
}

function fromDelta(request: {
  typeUrl: string;
  responseNonce: string;
  errorDetail?: { message: string } | undefined;
  resourceNamesSubscribe: string[];
  resourceNamesUnsubscribe: string[];
  initialResourceVersions: Record<string, string>;
}): ResourceRequest {
  return {
    typeUrl: request.typeUrl,
    nonce: request.responseNonce,
    rejection: request.errorDetail?.message,
    subscribe: request.resourceNamesSubscribe,
    unsubscribe: request.resourceNamesUnsubscribe,
    known: request.initialResourceVersions,
    whole: undefined,
  };
}

function fromWhole(request: {
  typeUrl: string;
  responseNonce: string;
  errorDetail?: { message: string } | undefined;
  resourceNames: string[];
  versionInfo: string;
}): ResourceRequest {
  return {
    typeUrl: request.typeUrl,
    nonce: request.responseNonce,
    rejection: request.errorDetail?.message,
    subscribe: [],
    unsubscribe: [],
    known: {},
    whole: { names: request.resourceNames, version: request.versionInfo },
  };
}
