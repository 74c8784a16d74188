import { fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import {
  envoyPatchTypes,
  type EnvoyConfigPatch,
  type EnvoyPatchOperation,
  type EnvoyPatchPlace,
} from "../../../api/istio/index.ts";
import { messageOf } from "../../../base/index.ts";
import type { EnvoyTypes } from "../../../wire/envoy-types/index.ts";

export type PatchContext = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND" | "GATEWAY";

/** A patch whose value is an Envoy message. All resources share the value, so it must not be changed. */
export interface CompiledPatch {
  /** The EnvoyFilter with this patch, as `namespace/name`. */
  readonly filter: string;
  readonly applyTo: EnvoyPatchPlace;
  readonly operation: EnvoyPatchOperation;
  readonly match: EnvoyConfigPatch;
  /** The value to merge or insert. Undefined if the operation needs none. */
  readonly value: Message | undefined;
}

/** A fault in a patch or in its result. `field` is relative to the object. */
export interface PatchFault {
  readonly filter: string;
  readonly field: string;
  readonly fault: string;
}

/** Lists whose order matters. In other lists, an INSERT is an ADD. */
const ordered: ReadonlySet<EnvoyPatchPlace> = new Set([
  "HTTP_FILTER",
  "NETWORK_FILTER",
  "HTTP_ROUTE",
  "LISTENER_FILTER",
]);

/**
 * Compiles the patches of one EnvoyFilter, in order. A value that is not an Envoy message is reported as a fault.
 * Unknown fields are dropped.
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
