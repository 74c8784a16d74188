import type { FrontendValidation, Listener, SecretObjectReference } from "../../../api/gateway/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { configMapResource, type ConfigMapReference } from "../config-map-facts.ts";
import type { GatewayFacts } from "../facts.ts";
import type { ListenerOwner, OwnedListener } from "./gateway-listeners.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { isGranted } from "./reference-grant.ts";
import { authoritySuffix } from "../secret-facts.ts";

export interface ListenerTlsResources {
  /** The usable certificates, in the listener's order. */
  readonly certificates: readonly string[];
  /** All secrets that the listener may use, including those that are not usable yet. */
  readonly resourceNames: readonly string[];
  /**
   * The resource with the roots that verify client certificates. If it is undefined but the listener's options request
   * client certificates, the roots are in the secret of the server certificate.
   */
  readonly clientRoots: string | undefined;
  /** The check of client certificates. Undefined if the Gateway requires none. */
  readonly validation: FrontendValidation | undefined;
}

export interface ListenerFaults {
  readonly unresolved?: Verdict;
  /** The fault of the roots. Without valid roots, no client can be verified, so the listener accepts none. */
  readonly authority?: Verdict;
}

const maxCertificates = 2;

export function endsTls(listener: Listener): boolean {
  return listener.protocol === "HTTPS" || (listener.protocol === "TLS" && listener.tls?.mode !== "Passthrough");
}

/**
 * The resources that a listener may use: secrets of its owner's namespace, and secrets that a ReferenceGrant allows.
 */
export function listenerTlsResources(
  gateway: GatewayFacts,
  { listener, owner }: Pick<OwnedListener, "listener" | "owner">,
  inputs: MeshInputs,
  reader: CollectionReader,
): ListenerTlsResources {
  if (!endsTls(listener)) return { certificates: [], resourceNames: [], clientRoots: undefined, validation: undefined };
  const references = listener.tls?.certificateRefs ?? [];
  const usable = references.filter(
    (reference) =>
      isSecret(reference) &&
      permitted(
        owner,
        { kind: "Secret", namespace: reference.namespace ?? owner.namespace, name: reference.name },
        inputs,
        reader,
      ),
  );
  const good = usable.filter((reference) => certificateFault(owner, reference, inputs, reader) === undefined);
  const resourceOf = (reference: SecretObjectReference): string =>
    secretResourceName({ namespace: reference.namespace ?? owner.namespace, name: reference.name });
  const validation = frontendValidation(gateway, listener);
  const [root] = validation?.caCertificateRefs ?? [];
  const clientRoots =
    root === undefined || !permitted(gatewayOwner(gateway), rootTarget(gateway, root), inputs, reader)
      ? undefined
      : rootResource(gateway, root);
  const resourceNames = [...usable.map(resourceOf), ...(clientRoots === undefined ? [] : [clientRoots])];
  return {
    certificates: (good.length > 0 ? good : usable).map(resourceOf),
    resourceNames,
    clientRoots,
    validation: clientRoots === undefined ? undefined : validation,
  };
}

function secretResourceName({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `kubernetes-gateway://${namespace}/${name}`;
}

/** The setting for the listener's port, or else the one for all ports. */
function frontendValidation({ spec }: GatewayFacts, { port }: Pick<Listener, "port">): FrontendValidation | undefined {
  const frontend = spec.tls?.frontend;
  return (frontend?.perPort.find((entry) => entry.port === port)?.tls ?? frontend?.default)?.validation;
}

/**
 * Whether a listener lacks its TLS settings. A Gateway may have such a listener as a placeholder for those of
 * ListenerSets. It is not served.
 */
export function lacksTls({ protocol, tls }: Listener): boolean {
  return tls === undefined && (protocol === "HTTPS" || protocol === "TLS");
}

/** Why a listener cannot terminate TLS. One usable certificate is enough. */
export function listenerFaults(
  gateway: GatewayFacts,
  { listener, owner }: OwnedListener,
  inputs: MeshInputs,
  reader: CollectionReader,
): ListenerFaults {
  if (!endsTls(listener) || usesOwnCertificate(listener) || lacksTls(listener)) return {};
  const references = listener.tls?.certificateRefs ?? [];
  if (references.length === 0)
    return { unresolved: invalid("the listener terminates TLS, so it must have certificateRefs") };
  if (references.length > maxCertificates)
    return { unresolved: invalid(`TLS accepts up to ${maxCertificates} certificates, got ${references.length}`) };
  const faults = references.map((reference) => certificateFault(owner, reference, inputs, reader));
  const [first] = faults;
  if (first !== undefined && faults.every((fault) => fault !== undefined))
    return { unresolved: { reason: first.reason, message: faults.map(({ message }) => message).join("; ") } };
  return authorityFaults(gateway, listener, inputs, reader);
}

function authorityFaults(
  gateway: GatewayFacts,
  listener: Listener,
  inputs: MeshInputs,
  reader: CollectionReader,
): ListenerFaults {
  const references = frontendValidation(gateway, listener)?.caCertificateRefs ?? [];
  const [root] = references;
  if (root === undefined) return {};
  const fault =
    references.length > 1
      ? { reason: "InvalidCACertificateRef", message: "only one of caCertificateRefs is supported" }
      : rootFault(gateway, root, inputs, reader);
  return fault === undefined
    ? {}
    : { unresolved: fault, authority: { reason: "NoValidCACertificate", message: fault.message } };
}

type RootReference = FrontendValidation["caCertificateRefs"][number];

function rootFault(
  gateway: GatewayFacts,
  reference: RootReference,
  inputs: MeshInputs,
  reader: CollectionReader,
): Verdict {
  const target = rootTarget(gateway, reference);
  const key = `${target.namespace}/${target.name}`;
  const wrong = (message: string): Verdict => ({ reason: "InvalidCACertificateRef", message });
  if (!isCore(reference) || (reference.kind !== "ConfigMap" && reference.kind !== "Secret")) {
    return {
      reason: "InvalidCACertificateKind",
      message: `caCertificateRefs must name a ConfigMap or a Secret, not ${reference.group}/${reference.kind} ${key}`,
    };
  }
  if (!permitted(gatewayOwner(gateway), target, inputs, reader)) {
    return {
      reason: "RefNotPermitted",
      message: `the ${reference.kind} ${key} is not accessible to a Gateway in namespace "${gateway.namespace}" (missing a ReferenceGrant?)`,
    };
  }
  const facts = reference.kind === "ConfigMap" ? reader.get(inputs.configMaps, key) : reader.get(inputs.secrets, key);
  if (facts === undefined) return wrong(`the ${reference.kind} ${key} has not been read yet`);
  if ("fault" in facts.authority)
    return wrong(
      facts.exists ? `the ${reference.kind} ${key} cannot be used: ${facts.authority.fault}` : facts.authority.fault,
    );
  return undefined;
}

function rootTarget(
  { namespace }: GatewayFacts,
  reference: RootReference,
): { readonly kind: "ConfigMap" | "Secret"; readonly namespace: string; readonly name: string } {
  return {
    kind: reference.kind === "ConfigMap" ? "ConfigMap" : "Secret",
    namespace: reference.namespace ?? namespace,
    name: reference.name,
  };
}

function rootResource(gateway: GatewayFacts, reference: RootReference): string {
  const target = rootTarget(gateway, reference);
  return `${target.kind === "ConfigMap" ? configMapResource(target) : secretResourceName(target)}${authoritySuffix}`;
}

/** The ConfigMaps that a Gateway refers to and may use: its parameters, and the roots of its clients. */
export function configMapsOfGateway(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly ConfigMapReference[] {
  const { infrastructure, tls } = gateway.spec;
  const parameters = infrastructure?.parametersRef;
  const validations = [tls?.frontend?.default, ...(tls?.frontend?.perPort ?? []).map((entry) => entry.tls)].flatMap(
    (entry) => entry?.validation ?? [],
  );
  return [
    ...(parameters !== undefined && areParametersKnown(parameters)
      ? [{ namespace: gateway.namespace, name: parameters.name }]
      : []),
    ...validations.flatMap(({ caCertificateRefs }) =>
      caCertificateRefs
        .filter((reference) => reference.kind === "ConfigMap" && isCore(reference))
        .map((reference) => rootTarget(gateway, reference))
        .filter((target) => permitted(gatewayOwner(gateway), target, inputs, reader))
        .map(({ namespace, name }) => ({ namespace, name, author: gateway.namespace })),
    ),
  ];
}

export function areParametersKnown(parameters: { readonly group: string; readonly kind: string }): boolean {
  return parameters.kind === "ConfigMap" && isCore(parameters);
}

/** The fault of a Gateway's client certificate for backends. Undefined if the Gateway names none, or a usable one. */
export function backendCertificateVerdict(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): Verdict {
  const reference = gateway.spec.tls?.backend?.clientCertificateRef;
  if (reference === undefined) return undefined;
  const fault = certificateFault(gatewayOwner(gateway), reference, inputs, reader, "client");
  return fault === undefined || fault.reason === "RefNotPermitted"
    ? fault
    : { ...fault, reason: "InvalidClientCertificateRef" };
}

/**
 * The secret that a Gateway itself refers to and may use. It is read for the Gateway's status, and no proxy gets it.
 */
export function backendCertificateOf(
  gateway: GatewayFacts,
  inputs: MeshInputs,
  reader: CollectionReader,
): { readonly namespace: string; readonly name: string } | undefined {
  const reference = gateway.spec.tls?.backend?.clientCertificateRef;
  if (reference === undefined || !isSecret(reference)) return undefined;
  const named = { namespace: reference.namespace ?? gateway.namespace, name: reference.name };
  return permitted(gatewayOwner(gateway), { kind: "Secret", ...named }, inputs, reader) ? named : undefined;
}

function certificateFault(
  owner: ListenerOwner,
  reference: SecretObjectReference,
  inputs: MeshInputs,
  reader: CollectionReader,
  side: "server" | "client" = "server",
): NonNullable<Verdict> | undefined {
  const namespace = reference.namespace ?? owner.namespace;
  const key = `${namespace}/${reference.name}`;
  if (!isSecret(reference))
    return invalid(`certificateRefs must name secrets, not ${reference.group}/${reference.kind} ${key}`);
  if (!permitted(owner, { kind: "Secret", namespace, name: reference.name }, inputs, reader)) {
    return {
      reason: "RefNotPermitted",
      message: `the secret ${key} is not accessible to a ${owner.kind} in namespace "${owner.namespace}" (missing a ReferenceGrant?)`,
    };
  }
  const secret = reader.get(inputs.secrets, key);
  if (secret === undefined) return invalid(`the secret ${key} has not been read yet`);
  if ("fault" in secret.keyPair)
    return invalid(secret.exists ? `the secret ${key} cannot be used: ${secret.keyPair.fault}` : secret.keyPair.fault);
  const { serverFault } = secret.keyPair.value;
  return side === "client" || serverFault === undefined
    ? undefined
    : invalid(`the secret ${key} cannot be used: ${serverFault}`);
}

export const terminateModeOption = "gateway.istio.io/tls-terminate-mode";

/** Whether the listener uses Istio's own certificate, which needs no secret. */
function usesOwnCertificate(listener: Listener): boolean {
  const mode = listener.tls?.options[terminateModeOption];
  return mode === "ISTIO_MUTUAL" || mode === "ISTIO_SIMPLE";
}

function invalid(message: string): NonNullable<Verdict> {
  return { reason: "InvalidCertificateRef", message };
}

function isSecret(reference: { readonly group: string; readonly kind: string }): boolean {
  return reference.kind === "Secret" && isCore(reference);
}

function isCore({ group }: { readonly group: string }): boolean {
  return group === "" || group === "core";
}

function gatewayOwner({ namespace, name }: GatewayFacts): ListenerOwner {
  return { kind: "Gateway", namespace, name };
}

function permitted(
  owner: ListenerOwner,
  to: { readonly kind: "Secret" | "ConfigMap"; readonly namespace: string; readonly name: string },
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  return isGranted({ from: { kind: owner.kind, namespace: owner.namespace }, to }, inputs, reader);
}
