import { clone, fromBinary, toBinary, type DescMessage, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { anyPack, type Any } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../../base/index.ts";
import { mergeMessage, type EnvoyTypes } from "../../../wire/envoy-types/index.ts";
import { isMerge, type CompiledPatch, type PatchContext } from "./compiled-patch.ts";
import type { EnvoyPatchPlace } from "../../../api/istio/index.ts";
import type { Filter, HttpConnectionManager } from "../../../wire/envoy/index.ts";

const managerType = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

export interface PatchingOptions {
  readonly types: EnvoyTypes;
  readonly patches: readonly CompiledPatch[];
  readonly failed: (patch: CompiledPatch, fault: string) => void;
}

export class Patching {
  readonly types: EnvoyTypes;
  readonly context: PatchContext;
  changed = false;
  readonly #options: PatchingOptions;

  constructor(options: PatchingOptions, context: PatchContext) {
    this.types = options.types;
    this.context = context;
    this.#options = options;
  }

  for(place: EnvoyPatchPlace): readonly CompiledPatch[] {
    return this.#options.patches.filter((patch) => patch.applyTo === place && holdsIn(patch, this.context));
  }

  /** A failure is reported for the patch and has no other effect. */
  attempt(patch: CompiledPatch, action: () => boolean): void {
    try {
      if (action()) this.changed = true;
    } catch (error) {
      this.#options.failed(patch, messageOf(error));
    }
  }

  valueOf<Value>(patch: CompiledPatch): Value {
    const value = mustHave(patch);
    return clone(this.#descOf(value), value) as unknown as Value;
  }

  /** Returns true. */
  merge(target: object, patch: CompiledPatch): boolean {
    const value = mustHave(patch);
    const desc = this.#descOf(value);
    mergeMessage(reflect(desc, target as Message, false), reflect(desc, value, false), {
      replaceLists: patch.operation === "MERGE_AND_REPLACE_LIST",
    });
    return true;
  }

  mergedAny(target: Any, source: Any): Any {
    if (typeOf(target) !== typeOf(source))
      throw new Error(`its configuration is ${typeOf(source)} and cannot be merged with ${typeOf(target)}`);
    const desc = this.types.mustHave(typeOf(target));
    const message = fromBinary(desc, target.value);
    mergeMessage(reflect(desc, message, false), reflect(desc, fromBinary(desc, source.value), false));
    return { ...target, value: toBinary(desc, message) };
  }

  /** Decodes a connection manager. Undefined for any other filter. */
  managerOf({ configType }: Filter): HttpConnectionManager | undefined {
    if (configType.case !== "typedConfig" || typeOf(configType.value) !== managerType) return undefined;
    return fromBinary(this.types.mustHave(managerType), configType.value.value) as unknown as HttpConnectionManager;
  }

  setManager(filter: Filter, manager: HttpConnectionManager): void {
    filter.configType = { case: "typedConfig", value: anyPack(this.types.mustHave(managerType), manager) };
  }

  #descOf(value: Message): DescMessage {
    return this.types.mustHave(value.$typeName);
  }
}

/**
 * Whether the patch adds a resource in this context. With the context ANY, a sidecar gets the resource once, in its
 * outbound context.
 */
export function addsIn(patch: CompiledPatch, context: PatchContext): boolean {
  return (
    patch.operation === "ADD" &&
    holdsIn(patch, context) &&
    (patch.match.context !== "ANY" || context !== "SIDECAR_INBOUND")
  );
}

export function holdsIn({ match }: CompiledPatch, context: PatchContext): boolean {
  return match.context === "ANY" || match.context === context;
}

function typeOf(any: Any): string {
  return any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1);
}

function mustHave({ value, operation }: CompiledPatch): Message {
  if (value === undefined) throw new Error(`${operation} has no value`);
  return value;
}

interface Named {
  readonly name: string;
}

/**
 * Applies ADD, INSERT_*, REPLACE or REMOVE to an ordered list. `matches` selects the item that the patch names. If it
 * is undefined because the patch names none, inserts go to the ends, and the other operations have no effect.
 */
export function patchList<Item extends Named>(
  list: Item[],
  patch: CompiledPatch,
  matches: ((item: Item) => boolean) | undefined,
  copy: () => Item,
): boolean {
  if (isMerge(patch.operation)) return false;
  const at = matches === undefined ? -1 : list.findIndex(matches);
  switch (patch.operation) {
    case "ADD":
      return list.push(copy()) > 0;
    case "INSERT_FIRST":
      return list.unshift(copy()) > 0;
    case "INSERT_AFTER":
      if (matches === undefined) return list.push(copy()) > 0;
      return at >= 0 && list.splice(at + 1, 0, copy()).length === 0;
    case "INSERT_BEFORE":
      if (matches === undefined) return list.unshift(copy()) > 0;
      return at >= 0 && list.splice(at, 0, copy()).length === 0;
    case "REPLACE":
      return at >= 0 && list.splice(at, 1, copy()).length > 0;
    default: {
      const kept = matches === undefined ? list : list.filter((item) => !matches(item));
      return kept.length < list.length && list.splice(0, list.length, ...kept).length > 0;
    }
  }
}
