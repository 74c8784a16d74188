import { matchesLabels, type Labels } from "../../api/index.ts";
import { certificateValidity, rfc3339Seconds } from "../../base/index.ts";
import { secretKind, serviceKind, type Secret } from "../../api/kubernetes/index.ts";
import { istioGatewayKind, istioLabels, type GatewayServer, type IstioGateway } from "../../api/istio/index.ts";
import { labelsText, listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import type { Resource } from "../resource.ts";
import { knowsAllWorkloads, selected, workloads, type Workload } from "../workloads.ts";

type Gateway = Entry<IstioGateway>;
/** The labels of the gateways in an installation. An analysis of files assumes that these gateways exist. */
const installedSelectors: readonly Labels[] = [
  { istio: "ingressgateway", app: "istio-ingressgateway" },
  { istio: "egressgateway", app: "istio-egressgateway" },
];
/** The ports that the Services of an installation's gateways have. */
const installedPorts = new Set([80, 443, 8080, 8443, 15_021, 15_443, 31_400]);

/** The labels of the installed gateway that the Gateway selects, if an analysis of files may assume it. */
export function installedGateway({ object: { spec } }: Gateway, inventory: Inventory): Labels | undefined {
  if (inventory.options.scope !== "files") return undefined;
  return installedSelectors.find((labels) =>
    Object.entries(spec.selector).every(([key, value]) => labels[key] === value),
  );
}

function podsOf({ object: { spec } }: Gateway, inventory: Inventory): readonly Workload[] {
  return selected(workloads(inventory), spec.selector);
}

export const gatewayPortAnalyzer: Analyzer = {
  name: "gateway.IngressGatewayPortAnalyzer",
  description: "Gateways select pods, and Services cover their ports",
  analyze(inventory, report) {
    for (const gateway of inventory.of(istioGatewayKind)) {
      const behind = podsOf(gateway, inventory);
      if (behind.length > 0) checkPorts(gateway, portsOf(behind, inventory), report);
      else if (installedGateway(gateway, inventory) !== undefined) checkPorts(gateway, installedPorts, report);
      else if (knowsAllWorkloads(inventory)) reportNoPods(gateway, inventory, report);
    }
  },
};

function reportNoPods({ resource, object: { spec } }: Gateway, inventory: Inventory, report: Report): void {
  const [key = ""] = Object.keys(spec.selector);
  const candidates = workloads(inventory).filter(
    ({ labels }) =>
      labels["istio"]?.includes("gateway") === true || labels[istioLabels.component]?.endsWith("Gateways") === true,
  );
  const have = [...new Set(candidates.map(({ labels }) => `istio=${labels["istio"] ?? "(none)"}`))].toSorted();
  const advice = have.length === 0 ? "install a gateway with these labels" : `the gateways here have ${listed(have)}`;
  report(
    messageTypes.referencedResourceNotFound,
    resource,
    `spec.selector.${key}`,
    `selector ${labelsText(spec.selector)} matches no pod, so nothing listens for this Gateway; correct the labels: ${advice}`,
  );
}

/**
 * The ports that Services open to the pods. Undefined if no Service selects the pods, which may then use ports of their
 * node.
 */
function portsOf(behind: readonly Workload[], inventory: Inventory): ReadonlySet<number> | undefined {
  const ports = new Set<number>();
  const services = inventory
    .of(serviceKind)
    .filter(({ object: { metadata, spec } }) =>
      behind.some(({ namespace, labels }) => namespace === metadata.namespace && matchesLabels(spec?.selector, labels)),
    );
  if (services.length === 0 && inventory.options.scope === "files") return undefined;
  for (const { object } of services) {
    for (const { port, targetPort, protocol = "TCP" } of object.spec?.ports ?? []) {
      if (protocol !== "TCP") continue;
      ports.add(port);
      if (typeof targetPort === "number") ports.add(targetPort);
    }
  }
  return ports;
}

function checkPorts(
  { resource, object: { spec } }: Gateway,
  ports: ReadonlySet<number> | undefined,
  report: Report,
): void {
  if (ports === undefined) return;
  for (const [index, { port }] of spec.servers.entries()) {
    if (ports.has(port.number)) continue;
    const known = [...ports].toSorted((left, right) => left - right).map(String);
    report(
      messageTypes.gatewayPortNotDefinedOnService,
      resource,
      `spec.servers[${index}].port.number`,
      `no Service forwards to port ${port.number} of the pods ${labelsText(spec.selector)}${known.length === 0 ? "" : ` (Services forward to ${listed(known, 8)})`}, so clients reach it at the pods' own addresses only; add the port to the gateway's Service, or use one of those`,
    );
  }
}

export const gatewaySecretAnalyzer: Analyzer = {
  name: "gateway.SecretAnalyzer",
  description: "secrets that Gateways name exist and have a certificate",
  analyze(inventory, report) {
    if (!inventory.knowsAll(secretKind) && inventory.options.scope === "cluster") return;
    for (const gateway of inventory.of(istioGatewayKind)) {
      const behind = podsOf(gateway, inventory);
      const namespace =
        behind[0]?.namespace ??
        (installedGateway(gateway, inventory) === undefined ? undefined : inventory.options.istioNamespace);
      if (namespace === undefined || !inventory.knowsAll(secretKind)) continue;
      for (const [index, { tls }] of gateway.object.spec.servers.entries()) {
        const path = `spec.servers[${index}].tls.credentialName`;
        for (const name of tls === undefined ? [] : [tls.credentialName ?? [], tls.credentialNames].flat())
          checkSecret(gateway, { namespace, name, path }, inventory, report);
      }
    }
  },
};

function checkSecret(
  { resource }: Gateway,
  { namespace, name, path }: { readonly namespace: string; readonly name: string; readonly path: string },
  inventory: Inventory,
  report: Report,
): void {
  if (/^[a-z]+:\/\//.test(name)) return;
  const secret = inventory.find(secretKind, namespace, name)?.object;
  if (secret === undefined) {
    const elsewhere = inventory.of(secretKind).find(({ object }) => object.metadata.name === name)?.object
      .metadata.namespace;
    report(
      messageTypes.referencedResourceNotFound,
      resource,
      path,
      `secret "${name}" does not exist in namespace ${namespace}, where the gateway's pods run, so the server does not listen; ${elsewhere === undefined ? `create it: kubectl create secret tls ${name} -n ${namespace} --cert=… --key=…` : `there is one in ${elsewhere}: copy it`}`,
    );
    return;
  }
  const values = valuesOf(secret);
  const fault = secretFault(values);
  if (fault !== undefined) {
    report(
      messageTypes.invalidGatewayCredential,
      resource,
      path,
      `secret ${namespace}/${name} ${fault}, so the server does not listen; it needs tls.crt and tls.key (or cert and key) in PEM`,
    );
    return;
  }
  checkValidity(resource, secret, path, inventory, report);
}

/** Reports a certificate that clients refuse, because it has expired or is not valid yet. */
export function checkValidity(
  resource: Resource,
  secret: Secret,
  path: string,
  inventory: Inventory,
  report: Report,
): void {
  const outdated = validityFault(valuesOf(secret), inventory.options.nowMs);
  if (outdated === undefined) return;
  const { namespace = "", name = "" } = secret.metadata;
  report(
    messageTypes.invalidGatewayCredential,
    resource,
    path,
    `the certificate of secret ${namespace}/${name} ${outdated}, so clients refuse it; replace it: the gateway uses the new one without a restart`,
  );
}

const pairs = [
  ["tls.crt", "tls.key"],
  ["cert", "key"],
] as const;

type SecretValues = Readonly<Record<string, string>>;

function valuesOf({ data = {}, stringData = {} }: Secret): SecretValues {
  return { ...Object.fromEntries(Object.entries(data).map(([key, value]) => [key, decoded(value)])), ...stringData };
}

function pairOf(values: SecretValues): (typeof pairs)[number] | undefined {
  return pairs.find(([certificate, key]) => values[certificate] !== undefined && values[key] !== undefined);
}

function secretFault(values: SecretValues): string | undefined {
  const pair = pairOf(values);
  if (pair === undefined)
    return `has no certificate and key, only ${listed(Object.keys(values).toSorted()) || "nothing"}`;
  const [certificate, key] = pair;
  if (!/-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/.test(values[certificate] ?? ""))
    return `has no certificate in ${certificate}`;
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(values[key] ?? "") ? undefined : `has no private key in ${key}`;
}

function validityFault(values: SecretValues, nowMs: number | undefined): string | undefined {
  const validity = certificateValidity(values[pairOf(values)?.[0] ?? ""] ?? "");
  if (validity === undefined || nowMs === undefined) return undefined;
  if (nowMs > validity.notAfterMs) return `has expired at ${rfc3339Seconds(validity.notAfterMs)}`;
  return nowMs < validity.notBeforeMs ? `is valid only from ${rfc3339Seconds(validity.notBeforeMs)} on` : undefined;
}

function decoded(base64: string): string {
  try {
    return atob(base64.replaceAll(/\s/g, ""));
  } catch {
    return "";
  }
}

export const conflictingGatewayAnalyzer: Analyzer = {
  name: "gateway.ConflictingGatewayAnalyzer",
  description: "at most one Gateway uses a host on a port of the same pods",
  analyze(inventory, report) {
    const gateways = inventory.of(istioGatewayKind);
    for (const gateway of gateways) {
      const rivals = gateways.filter((other) => other !== gateway && sharesPods(gateway, other, inventory));
      for (const [index, server] of gateway.object.spec.servers.entries()) {
        const others = rivals.filter(({ object }) =>
          object.spec.servers.some((other) => sharedHosts(server, other).length > 0),
        );
        const names = others.map(fullName).toSorted();
        if (names.length === 0) continue;
        const hosts = new Set(
          others.flatMap(({ object }) => object.spec.servers.flatMap((other) => sharedHosts(server, other))),
        );
        const { number } = server.port;
        report(
          messageTypes.conflictingGateways,
          gateway.resource,
          `spec.servers[${index}].hosts`,
          `Gateway${names.length === 1 ? "" : "s"} ${listed(names)} also ${names.length === 1 ? "uses" : "use"} ${listed([...hosts])} on port ${number} of the pods ${labelsText(gateway.object.spec.selector)}, and only the oldest has an effect; give each Gateway its own hosts, or merge them`,
        );
      }
    }
  },
};

function fullName({ object: { metadata } }: Gateway): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

function sharesPods(left: Gateway, right: Gateway, inventory: Inventory): boolean {
  if (labelsText(left.object.spec.selector) === labelsText(right.object.spec.selector)) return true;
  const ofRight = new Set(podsOf(right, inventory));
  return podsOf(left, inventory).some((pod) => ofRight.has(pod));
}

function sharedHosts(left: GatewayServer, right: GatewayServer): readonly string[] {
  return left.port.number === right.port.number && left.bind === right.bind
    ? left.hosts.filter((host) => right.hosts.includes(host))
    : [];
}

export const gatewayCertificateAnalyzer: Analyzer = {
  name: "gateway.CertificateAnalyzer",
  description: "Gateways of the same pods serve different certificates",
  analyze(inventory, report) {
    const gateways = inventory.of(istioGatewayKind);
    for (const gateway of gateways) {
      const others = gateways.filter(
        (other) => other !== gateway && isWithin(gateway.object.spec.selector, other.object.spec.selector),
      );
      for (const [index, server] of gateway.object.spec.servers.entries()) {
        const certificate = certificateOf(server);
        const names =
          certificate === undefined
            ? []
            : others
                .filter(({ object }) => object.spec.servers.some((other) => certificateOf(other) === certificate))
                .map(fullName);
        if (names.length === 0) continue;
        report(
          messageTypes.gatewayDuplicateCertificate,
          gateway.resource,
          `spec.servers[${index}].tls`,
          `Gateway${names.length === 1 ? "" : "s"} ${listed(names.toSorted())} ${names.length === 1 ? "serves" : "serve"} the same certificate: a browser sends requests for the hosts of one over an HTTP/2 connection to the other, and gets 404; merge them into one Gateway, or give each its own certificate`,
        );
      }
    }
  },
};

function isWithin(narrow: Labels, wide: Labels): boolean {
  return Object.entries(narrow).every(([key, value]) => wide[key] === value);
}

function certificateOf({ tls }: GatewayServer): string | undefined {
  if (tls?.credentialName !== undefined) return `secret ${tls.credentialName}`;
  return tls?.serverCertificate !== undefined && tls.privateKey !== undefined
    ? `files ${tls.serverCertificate} ${tls.privateKey}`
    : undefined;
}
