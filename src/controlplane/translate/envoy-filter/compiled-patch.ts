import { fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import {
  envoyPatchTypes,
  type EnvoyConfigPatch,
  type EnvoyPatchOperation,
  type EnvoyPatchPlace,
} from "../../../api/istio/index.ts";
import { messageOf } from "../../../base/index.ts";
import type { EnvoyTypes } from "../../../wire/envoy-types/index.ts";

/** The part of a mesh's configuration that a resource is, in the words of patches. */
export type PatchContext = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND" | "GATEWAY";

/** A patch whose value is a message. All resources share it, so it is never changed. */
export interface CompiledPatch {
  /** `namespace/name` of its EnvoyFilter. */
  readonly filter: string;
  readonly applyTo: EnvoyPatchPlace;
  readonly operation: EnvoyPatchOperation;
  readonly match: EnvoyConfigPatch;
  /** Undefined where the operation needs none. */
  readonly value: Message | undefined;
}

/** A fault in a patch or in its result. `field` is below the object. */
export interface PatchFault {
  readonly filter: string;
  readonly field: string;
  readonly fault: string;
}

/** Lists whose order matters. In others an INSERT is an ADD. */
const ordered: ReadonlySet<EnvoyPatchPlace> = new Set([
  "HTTP_FILTER",
  "NETWORK_FILTER",
  "HTTP_ROUTE",
  "LISTENER_FILTER",
]);

/**
 * The patches of one EnvoyFilter in their order. A value that is not a message of Envoy's API is a fault. Unknown
 * fields are left out.
 */
export function compilePatches(
  filter: string,
  patches: readonly EnvoyConfigPatch[],
  types: EnvoyTypes,
): { readonly patches: readonly CompiledPatch[]; readonly faults: readonly PatchFault[] } {
  const compiled: CompiledPatch[] = [];
  const faults: PatchFault[] = [];
  for (const [index, patch] of patches.entries()) {
    try {
      compiled.push(compilePatch(filter, patch, types));
    } catch (error) {
      faults.push({ filter, field: `spec.configPatches[${index}].patch.value`, fault: messageOf(error) });
    }
  }
  return { patches: compiled, faults };
}

function compilePatch(filter: string, match: EnvoyConfigPatch, types: EnvoyTypes): CompiledPatch {
  const { applyTo, value } = match;
  const operation = match.operation.startsWith("INSERT_") && !ordered.has(applyTo) ? "ADD" : match.operation;
  if (operation === "REMOVE") return { filter, applyTo, operation, match, value: undefined };
  const message = fromJson(types.mustHave(envoyPatchTypes[applyTo]), value as JsonValue, {
    registry: types.registry,
    ignoreUnknownFields: true,
  });
  return { filter, applyTo, operation, match, value: message };
}

export function isMerge(operation: EnvoyPatchOperation): boolean {
  return operation === "MERGE" || operation === "MERGE_AND_REPLACE_LIST";
}
