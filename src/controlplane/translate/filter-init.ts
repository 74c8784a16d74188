import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { maxCopiedLength } from "../../api/istio/index.ts";
import { FilterStateValue_SharedWithUpstream } from "../../wire/envoy/index.ts";
import { packed } from "./envoy-any.ts";

/** A filter. HTTP and network filters have the same form. */
export interface FilterInit {
  readonly name: string;
  readonly configType: { readonly case: "typedConfig"; readonly value: Any };
}

export function filterInit<Schema extends DescMessage>(
  name: string,
  schema: Schema,
  config: MessageInitShape<Schema>,
): FilterInit {
  return { name, configType: { case: "typedConfig", value: packed(schema, config) } };
}

/** A port may have one chain for requests and one for other connections, each with and without TLS. */
const maxChainsOfPort = 4;

/**
 * How many ports of a listener may have chains with these filters. Each chain repeats the policies, which may have a
 * megabyte, and a service may have thousands of ports. Connections to further ports are closed, so that they bypass no
 * policy.
 */
export function portShare(filters: readonly FilterInit[]): number {
  const length = filters.reduce((sum, { configType }) => sum + configType.value.value.length, 0);
  return Math.max(1, Math.floor(maxCopiedLength / (maxChainsOfPort * Math.max(1, length))));
}

/** The key in the filter state of the address to which the next connection goes. */
export const destinationState = "envoy.filters.listener.original_dst.local_ip";

export interface FilterStateOptions {
  /** Which connections to upstreams inherit the value: only the next one, or also those that follow it. */
  readonly inherits: "ONCE" | "TRANSITIVE";
  /**
   * Whether the value is part of a connection pool's key, so that connections with different values do not share a
   * pool.
   */
  readonly isHashed?: boolean;
}

/** Sets a value of the filter state to a text that may contain Envoy's command operators. */
export function filterState(key: string, format: string, { inherits, isHashed = false }: FilterStateOptions) {
  return {
    key: { case: "objectKey" as const, value: key },
    value: {
      case: "formatString" as const,
      value: {
        format: {
          case: "textFormatSource" as const,
          value: { specifier: { case: "inlineString" as const, value: format } },
        },
      },
    },
    sharedWithUpstream: FilterStateValue_SharedWithUpstream[inherits],
    ...(isHashed ? { factoryKey: "istio.hashable_string" } : {}),
  };
}
