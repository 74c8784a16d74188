import { envoyFilterKind, serviceEntryKind, type EnvoyConfigPatch, type ServiceEntry } from "../../api/istio/index.ts";
import { listed, type Analyzer } from "../analyzer.ts";
import type { Entry } from "../inventory.ts";
import { messageTypes, type MessageType } from "../message-types.ts";

export const entryAddressesAnalyzer: Analyzer = {
  name: "serviceentry.Analyzer",
  description: "TCP ports of ServiceEntries can be told apart",
  analyze(inventory, report) {
    const metadata = inventory.options.meshConfig?.defaultConfig.proxyMetadata ?? {};
    const isAllocated =
      metadata["ISTIO_META_DNS_CAPTURE"] === "true" &&
      (metadata["ISTIO_META_DNS_AUTO_ALLOCATE"] === "true" || metadata["PILOT_ENABLE_IP_AUTOALLOCATE"] === "true");
    if (isAllocated) return;
    for (const { resource, object } of inventory.of(serviceEntryKind)) {
      const allocated = (object as { status?: { addresses?: readonly unknown[] } }).status?.addresses ?? [];
      if (object.spec.addresses.length > 0 || allocated.length > 0) continue;
      for (const [index, { number, protocol = "TCP" }] of object.spec.ports.entries()) {
        if (protocol !== "TCP") continue;
        report(
          messageTypes.serviceEntryAddressesRequired,
          resource,
          `spec.ports[${index}]`,
          `port ${number} is TCP and the entry has no addresses, so a sidecar sends all traffic to port ${number}, whatever the host, to this entry; add addresses, set the protocol to HTTP or TLS if it is one of these, or turn on DNS capture for the clients`,
        );
      }
    }
  },
};

interface PlacedPort {
  readonly entry: Entry<ServiceEntry>;
  readonly protocol: string;
  readonly index: number;
}

export const entryProtocolAnalyzer: Analyzer = {
  name: "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
  description: "ServiceEntries for the same host agree on the protocols of its ports",
  analyze(inventory, report) {
    const ports = new Map<string, PlacedPort[]>();
    for (const entry of inventory.of(serviceEntryKind)) {
      for (const host of entry.object.spec.hosts) {
        for (const [index, { number, protocol = "TCP" }] of entry.object.spec.ports.entries()) {
          const key = `${host} ${number}`;
          ports.set(key, [...(ports.get(key) ?? []), { entry, protocol, index }]);
        }
      }
    }
    for (const [key, users] of ports) {
      for (const { entry, protocol, index } of users) {
        const others = users.filter(
          (user) => user.entry !== entry && user.protocol !== protocol && meet(user.entry, entry),
        );
        if (others.length === 0) continue;
        const [host = "", number = ""] = key.split(" ");
        const names = others.map(
          (other) =>
            `${other.entry.object.metadata.namespace ?? ""}/${other.entry.object.metadata.name ?? ""} (${other.protocol})`,
        );
        report(
          messageTypes.conflictingServiceEntryProtocol,
          entry.resource,
          `spec.ports[${index}].protocol`,
          `says that port ${number} of ${host} is ${protocol}, ServiceEntry ${listed(names.toSorted())} says otherwise, and only the oldest has an effect; set the same protocol in all of them, or narrow exportTo`,
        );
      }
    }
  },
};

function meet(left: Entry<ServiceEntry>, right: Entry<ServiceEntry>): boolean {
  const scopes = ({ object: { metadata, spec } }: Entry<ServiceEntry>): readonly string[] =>
    spec.exportTo.length === 0
      ? ["*"]
      : spec.exportTo.map((entry) => (entry === "." ? (metadata.namespace ?? "") : entry));
  const [ofLeft, ofRight] = [scopes(left), scopes(right)];
  return ofLeft.includes("*") || ofRight.includes("*") || ofLeft.some((scope) => ofRight.includes(scope));
}

const relativeOperations = new Set(["INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "REMOVE"]);
const routePlaces = new Set(["ROUTE_CONFIGURATION", "HTTP_ROUTE"]);
const replaceablePlaces = new Set(["NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST"]);

export const envoyFilterAnalyzer: Analyzer = {
  name: "envoyfilter.EnvoyPatchAnalyzer",
  description: "operations of EnvoyFilter patches work where they are used, and their order is set",
  analyze(inventory, report) {
    // The names of filters for which an earlier patch depends on the proxy's version.
    const versioned = new Set<string>();
    for (const { resource, object } of inventory.of(envoyFilterKind)) {
      for (const [index, patch] of object.spec.configPatches.entries()) {
        const name = filterName(patch);
        const wrong = wrongOperation(patch);
        const path = `spec.configPatches[${index}].patch`;
        if (wrong !== undefined) report(wrong, resource, path, wrongText(patch));
        else if (relativeOperations.has(patch.operation) && object.spec.priority === 0) {
          const isVersioned = name !== undefined && versioned.has(name);
          report(
            isVersioned
              ? messageTypes.envoyFilterUsesRelativeOperationWithProxyVersion
              : messageTypes.envoyFilterUsesRelativeOperation,
            resource,
            path,
            `${patch.operation} depends on earlier patches, and the EnvoyFilter has no priority: it may be applied before ${isVersioned ? `the patch of "${name ?? ""}" that is for some proxy versions only` : "what it refers to"}, and then does nothing; set spec.priority, or use INSERT_FIRST or ADD`,
          );
        }
        if (patch.proxyVersion !== undefined && name !== undefined) versioned.add(name);
      }
    }
  },
};

/** The name of the filter that a patch adds, or else of the one that it matches. */
function filterName({ value, listener }: EnvoyConfigPatch): string | undefined {
  return typeof value["name"] === "string" ? value["name"] : listener?.filterChain?.filter;
}

function wrongOperation({ applyTo, operation }: EnvoyConfigPatch): MessageType | undefined {
  if (operation === "ADD" && routePlaces.has(applyTo)) return messageTypes.envoyFilterUsesAddOperationIncorrectly;
  if (operation === "REMOVE" && routePlaces.has(applyTo)) return messageTypes.envoyFilterUsesRemoveOperationIncorrectly;
  return operation === "REPLACE" && !replaceablePlaces.has(applyTo)
    ? messageTypes.envoyFilterUsesReplaceOperationIncorrectly
    : undefined;
}

function wrongText({ applyTo, operation }: EnvoyConfigPatch): string {
  const advice =
    operation === "REPLACE"
      ? `REPLACE works for ${[...replaceablePlaces].join(", ")} only; use MERGE`
      : "use MERGE, or applyTo: VIRTUAL_HOST to add your own routes";
  return `${operation} does nothing where applyTo is ${applyTo}: ${advice}`;
}
