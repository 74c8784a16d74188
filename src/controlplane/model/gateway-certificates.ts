import type { Listener } from "../../api/gateway/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { GatewayFacts } from "./facts.ts";
import type { Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { isGranted } from "./reference-grant.ts";

/** The secret that a listener names, as its proxies ask for it. */
export interface ListenerCertificate {
  readonly namespace: string;
  readonly name: string;
  /** Of the resource. */
  readonly resource: string;
}

export function endsTls(listener: Listener): boolean {
  return listener.protocol === "HTTPS" || (listener.protocol === "TLS" && listener.tls?.mode === "Terminate");
}

/** What a listener may use of what it names: secrets of the Gateway's namespace, and others that their namespace grants. */
export function listenerCertificates(gateway: GatewayFacts, listener: Listener, inputs: MeshInputs, reader: CollectionReader): readonly ListenerCertificate[] {
  if (!endsTls(listener)) return [];
  return (listener.tls?.certificateRefs ?? []).flatMap((reference) => {
    const namespace = reference.namespace ?? gateway.namespace;
    if (!isSecret(reference) || !mayUse(gateway, namespace, reference.name, inputs, reader)) return [];
    return { namespace, name: reference.name, resource: `kubernetes-gateway://${namespace}/${reference.name}` };
  });
}

/** Why a listener that ends TLS has no certificate. */
export function certificateVerdict(gateway: GatewayFacts, listener: Listener, inputs: MeshInputs, reader: CollectionReader): Verdict {
  if (!endsTls(listener) || usesOwnCertificate(listener)) return undefined;
  const references = listener.tls?.certificateRefs ?? [];
  if (references.length === 0) return invalid("the listener ends TLS, so it must have certificateRefs");
  for (const reference of references) {
    const namespace = reference.namespace ?? gateway.namespace;
    const key = `${namespace}/${reference.name}`;
    if (!isSecret(reference)) return invalid(`certificateRefs must name secrets, not ${reference.group}/${reference.kind} ${key}`);
    if (!mayUse(gateway, namespace, reference.name, inputs, reader)) {
      return { reason: "RefNotPermitted", message: `the secret ${key} is not accessible to a Gateway in namespace "${gateway.namespace}" (missing a ReferenceGrant?)` };
    }
    const secret = reader.get(inputs.secrets, key);
    if (secret === undefined) return invalid(`the secret ${key} has not been read yet`);
    if ("fault" in secret.keyPair) return invalid(secret.exists ? `the secret ${key} cannot be used: ${secret.keyPair.fault}` : secret.keyPair.fault);
  }
  return undefined;
}

export const terminateModeOption = "gateway.istio.io/tls-terminate-mode";

/** Istio's mutual TLS needs no secret. */
export function usesOwnCertificate(listener: Listener): boolean {
  return listener.tls?.options[terminateModeOption] === "ISTIO_MUTUAL";
}

function invalid(message: string): Verdict {
  return { reason: "InvalidCertificateRef", message };
}

function isSecret(reference: { readonly group: string; readonly kind: string }): boolean {
  return reference.kind === "Secret" && (reference.group === "" || reference.group === "core");
}

function mayUse(gateway: GatewayFacts, namespace: string, name: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return isGranted({ from: { kind: "Gateway", namespace: gateway.namespace }, to: { kind: "Secret", namespace, name } }, inputs, reader);
}
