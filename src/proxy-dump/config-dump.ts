import { isTree, stringOf, treeAt, userError } from "../base/index.ts";
import { withFieldTypes, type FieldTypes } from "../base/field-types/index.ts";
import {
  clusterFields,
  endpointFields,
  extensionFields,
  listenerFields,
  nodeFields,
  routeFields,
  secretFields,
} from "./dump-fields.ts";
import type { Address } from "./address-text.ts";

/** A JSON object whose fields may all be missing, because other releases and proxies lack some. */
export type Json = Readonly<Record<string, unknown>>;

/** The fields that are read from Envoy's `/config_dump`, with JSON's names. `-o json` also shows all other fields. */
export interface ClusterConfig extends Json {
  readonly name?: string;
  readonly type?: string;
  readonly metadata?: ResourceMetadata;
}

export interface ResourceMetadata {
  readonly filterMetadata?: { readonly istio?: { readonly config?: unknown } };
}

export interface ListenerConfig extends Json {
  readonly name?: string;
  readonly address?: Address;
  readonly additionalAddresses?: readonly { readonly address?: Address }[];
  readonly filterChains?: readonly FilterChain[];
  readonly defaultFilterChain?: FilterChain;
  readonly filterChainMatcher?: Matcher;
  readonly internalListener?: unknown;
}

export interface FilterChain {
  readonly name?: string;
  readonly filterChainMatch?: FilterChainMatch;
  readonly filters?: readonly { readonly name?: string; readonly typedConfig?: Json }[];
}

export interface FilterChainMatch {
  readonly serverNames?: readonly string[];
  readonly transportProtocol?: string;
  readonly applicationProtocols?: readonly string[];
  readonly destinationPort?: number;
  readonly prefixRanges?: readonly AddressRange[];
}

export interface AddressRange {
  readonly addressPrefix?: string;
  readonly prefixLen?: number;
}

/** A matcher of xDS. It is a tree, and its leaves are names of filter chains. */
export interface Matcher {
  readonly onNoMatch?: OnMatch;
  readonly matcherTree?: {
    readonly input?: { readonly name?: string };
    readonly exactMatchMap?: { readonly map?: Readonly<Record<string, OnMatch>> };
    readonly prefixMatchMap?: { readonly map?: Readonly<Record<string, OnMatch>> };
    readonly customMatch?: {
      readonly typedConfig?: {
        readonly rangeMatchers?: readonly { readonly ranges?: readonly AddressRange[]; readonly onMatch?: OnMatch }[];
      };
    };
  };
}

export interface OnMatch {
  readonly action?: { readonly name?: string };
  readonly matcher?: Matcher;
}

export interface RouteConfig extends Json {
  readonly name?: string;
  readonly virtualHosts?: readonly VirtualHost[];
}

export interface VirtualHost {
  readonly name?: string;
  readonly domains?: readonly string[];
  readonly routes?: readonly RouteEntry[];
}

export interface RouteEntry {
  readonly name?: string;
  readonly match?: {
    readonly prefix?: string;
    readonly path?: string;
    readonly pathSeparatedPrefix?: string;
    readonly safeRegex?: { readonly regex?: string };
  };
  readonly route?: { readonly cluster?: string };
  readonly metadata?: ResourceMetadata;
}

export interface EndpointAssignment extends Json {
  readonly clusterName?: string;
  readonly endpoints?: readonly LocalityEndpoints[];
}

export interface LocalityEndpoints extends Json {
  readonly locality?: { readonly region?: string; readonly zone?: string; readonly subZone?: string };
  readonly lbEndpoints?: readonly {
    readonly endpoint?: {
      readonly address?: Address;
      readonly additionalAddresses?: readonly { readonly address?: Address }[];
    };
    readonly healthStatus?: string;
  }[];
}

export interface DynamicSecret {
  readonly name?: string;
  readonly versionInfo?: string;
  readonly secret?: {
    readonly tlsCertificate?: { readonly certificateChain?: { readonly inlineBytes?: string } };
    readonly validationContext?: {
      readonly trustedCa?: { readonly inlineBytes?: string };
      readonly customValidatorConfig?: {
        readonly typedConfig?: {
          readonly trustDomains?: readonly {
            readonly name?: string;
            readonly trustBundle?: { readonly inlineBytes?: string };
          }[];
        };
      };
    };
  };
}

export interface ExtensionConfig extends Json {
  readonly name?: string;
  readonly typedConfig?: { readonly "@type"?: string };
}

/** A proxy's answer to `/config_dump`. A part that the proxy has not sent is empty. */
export class ConfigDump {
  readonly #parts: ReadonlyMap<string, Json>;

  /** Takes an answer to `/config_dump` whose fields have JSON's names. Throws a user error for anything else. */
  constructor(raw: unknown, where: string) {
    const configs = isTree(raw) ? raw["configs"] : undefined;
    if (!Array.isArray(configs))
      throw userError("dump-invalid", `${where} is not a dump of a proxy's configuration: it has no list "configs"`, {
        hint: "curl localhost:15000/config_dump",
      });
    const parts = new Map<string, Json>();
    for (const part of configs.filter(isTree)) {
      const type = stringOf(part["@type"]).split(".").at(-1) ?? "";
      parts.set(type, joined(parts.get(type), part));
    }
    this.#parts = parts;
  }

  part(type: "BootstrapConfigDump" | "SecretsConfigDump" | "EcdsConfigDump"): Json | undefined {
    const part = this.#parts.get(type);
    return part === undefined ? undefined : withoutType(part);
  }

  /** The proxy's node from its bootstrap. Empty without one. */
  node(): Json {
    return withFieldTypes(treeAt(this.part("BootstrapConfigDump"), "bootstrap", "node") ?? {}, nodeFields).value;
  }

  clusters(): readonly ClusterConfig[] {
    return [
      ...this.#resources("ClustersConfigDump", "dynamicActiveClusters", "cluster", clusterFields),
      ...this.#resources("ClustersConfigDump", "staticClusters", "cluster", clusterFields),
    ];
  }

  listeners(): readonly ListenerConfig[] {
    const active = this.#entries("ListenersConfigDump", "dynamicListeners")
      .map(({ activeState }) => activeState)
      .filter(isTree);
    return [
      ...active
        .map(({ listener }) => listener)
        .filter(isTree)
        .map((listener) => resourceOf(listener, listenerFields)),
      ...this.#resources("ListenersConfigDump", "staticListeners", "listener", listenerFields),
    ];
  }

  routes(): readonly RouteConfig[] {
    return [
      ...this.sentRoutes(),
      ...this.#resources("RoutesConfigDump", "staticRouteConfigs", "routeConfig", routeFields),
    ];
  }

  /** The routes that a control plane has sent by RDS. Leaves out those inside listeners. */
  sentRoutes(): readonly RouteConfig[] {
    return this.#resources("RoutesConfigDump", "dynamicRouteConfigs", "routeConfig", routeFields);
  }

  endpoints(): readonly EndpointAssignment[] {
    return [
      ...this.#resources("EndpointsConfigDump", "dynamicEndpointConfigs", "endpointConfig", endpointFields),
      ...this.#resources("EndpointsConfigDump", "staticEndpointConfigs", "endpointConfig", endpointFields),
    ];
  }

  secrets(state: "ACTIVE" | "WARMING"): readonly DynamicSecret[] {
    return this.#entries(
      "SecretsConfigDump",
      state === "ACTIVE" ? "dynamicActiveSecrets" : "dynamicWarmingSecrets",
    ).map((secret) => withFieldTypes(secret, secretFields).value);
  }

  extensions(): readonly ExtensionConfig[] {
    return this.#resources("EcdsConfigDump", "ecdsFilters", "ecdsFilter", extensionFields);
  }

  #entries(part: string, list: string): readonly Json[] {
    const entries = this.#parts.get(part)?.[list];
    return Array.isArray(entries) ? entries.filter(isTree) : [];
  }

  #resources(part: string, list: string, field: string, fields: FieldTypes): readonly Json[] {
    return this.#entries(part, list)
      .map((entry) => entry[field])
      .filter(isTree)
      .map((resource) => resourceOf(resource, fields));
  }
}

/** Joins two pieces of a part. Envoy may split a part, so that each piece has some of its entries. */
function joined(before: Json | undefined, piece: Json): Json {
  if (before === undefined) return piece;
  const lists = Object.entries(piece).map(
    ([name, value]) =>
      [
        name,
        Array.isArray(value) && Array.isArray(before[name])
          ? [...(before[name] as readonly unknown[]), ...(value as readonly unknown[])]
          : value,
      ] as const,
  );
  return { ...before, ...Object.fromEntries(lists) };
}

function resourceOf(resource: Json, fields: FieldTypes): Json {
  return withFieldTypes(withoutType(resource), fields).value;
}

function withoutType(resource: Json): Json {
  return Object.fromEntries(Object.entries(resource).filter(([name]) => name !== "@type"));
}
