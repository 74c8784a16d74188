import type { SelfSignedOptions } from "../../api/pilot-settings/index.ts";
import { X509Certificate } from "node:crypto";
import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import { authorityStageAnnotation, authorityStages, type AuthorityStage } from "../../api/serin/index.ts";
import { messageOf, SerinError, transientError, userError, type Clock, type Logger } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { isSelfSigned, materialOf, nameOfSecret } from "./authority-material.ts";
import { checkAuthority, usableLists } from "./authority-check.ts";
import {
  createSelfSignedAuthority,
  renewSelfSignedAuthority,
  type AuthorityMaterial,
} from "./certificate-authority.ts";
import { rootBundle, splitPem } from "./root-bundle.ts";

const pluggedInName = "cacerts";
/** The key that marks a `cacerts` which a control plane made. A user's has no such key. */
const generatedKey = "istio-generated";
const tlsType = "kubernetes.io/tls";
const selfSignedName = "istio-ca-secret";
/** The secrets of a rotation of the root: one has the next authority, and one has the previous authority. */
const nextName = "istio-ca-next";
const previousName = "istio-ca-previous";

export const authoritySecretNames: readonly string[] = [pluggedInName, selfSignedName, nextName];

export interface AuthoritySecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly selfSigned?: SelfSignedOptions;
  readonly clock: Clock;
  readonly log: Logger;
}

const defaultSelfSigned: SelfSignedOptions = {
  lifetimeMs: 3650 * 86_400_000,
  rsaKeyBits: 2048,
  gracePercent: 20,
  inCacerts: false,
};

export interface AuthorityState {
  readonly stage: AuthorityStage;
  readonly material: AuthorityMaterial;
  /** The content of the secret in force, without the next root. */
  readonly current: AuthorityMaterial;
}

/**
 * Loads the authority that all revisions share: the secret `cacerts` if a user has created it, or else
 * `istio-ca-secret`. A missing secret is created from the `known` state, so that the loss of the secret does not change
 * the root of a running mesh. If several control planes start at once, the first one creates the secret and the others
 * adopt it. While an `istio-ca-next` exists, its stage decides which authority signs. All control planes read the same
 * secrets, and the first one that sees that a change is due writes it.
 */
export async function loadAuthority(options: AuthoritySecretOptions, known?: AuthorityState): Promise<AuthorityState> {
  const { client, namespace } = options;
  const secret = await currentSecret(options, known?.current);
  const current = checkedMaterialOf(secret, options, known);
  const found = await client.get(secretKind, nextName, namespace);
  if (found === undefined) return { stage: "none", material: current, current };
  const stage = stageOf(found);
  const next = isEmpty(found) ? await fill(options, found) : found;
  const coming = checkedMaterialOf(next, options, known);
  switch (stage) {
    case "trust":
      return { stage, material: { ...current, root: rootBundle(current, coming.root) }, current };
    case "issue":
      return { stage, material: { ...coming, root: rootBundle(coming, current.root) }, current };
    case "only":
      return { stage, material: coming, current };
    default:
      await promote(options, secret, next);
      return { stage: "none", material: coming, current: coming };
  }
}

async function currentSecret(options: AuthoritySecretOptions, known: AuthorityMaterial | undefined): Promise<Secret> {
  const { client, namespace, trustDomain, clock, log } = options;
  const selfSigned = options.selfSigned ?? defaultSelfSigned;
  const cacerts = await client.get(secretKind, pluggedInName, namespace);
  const isGenerated = selfSigned.inCacerts && cacerts?.data?.[generatedKey] !== undefined;
  if (cacerts !== undefined && !isGenerated) return cacerts;
  const found = (await client.get(secretKind, selfSignedName, namespace)) ?? cacerts;
  if (found !== undefined) return await renewed(options, found);
  const made = known ?? (await createSelfSignedAuthority(trustDomain, clock, selfSigned));
  const name = selfSigned.inCacerts ? pluggedInName : selfSignedName;
  try {
    const data = { ...dataOf(made), ...(selfSigned.inCacerts ? { [generatedKey]: "" } : {}) };
    const created = await client.create(secretKind, { metadata: { name, namespace }, type: "istio.io/ca-root", data });
    log.info(known === undefined ? "created a self-signed root" : "restored the secret of the mesh's root", {
      secret: `${namespace}/${name}`,
    });
    return created;
  } catch (error) {
    if (!isKubeCode(error, "already-exists")) throw error;
    const winner = await client.get(secretKind, name, namespace);
    if (winner === undefined) throw error;
    return winner;
  }
}

/**
 * Renews a self-signed root before it expires. The renewed root has the same key, so that peers with the old or the new
 * root trust each other.
 */
async function renewed(options: AuthoritySecretOptions, secret: Secret): Promise<Secret> {
  const { client, namespace, clock, log } = options;
  const selfSigned = options.selfSigned ?? defaultSelfSigned;
  const material = materialOf(secret);
  if (
    selfSigned.gracePercent === undefined ||
    !isSelfSigned(material) ||
    !endsSoon(material, selfSigned.gracePercent, clock.nowMs())
  )
    return secret;
  const next = await renewSelfSignedAuthority(material, clock, selfSigned);
  try {
    const updated = await client.update(secretKind, { ...secret, data: { ...secret.data, ...dataOf(next) } });
    log.info("renewed the mesh's self-signed root before it expires, with the same key", {
      secret: nameOfSecret(secret),
    });
    return updated;
  } catch (error) {
    if (!isKubeCode(error, "conflict")) throw error;
    const winner = await client.get(secretKind, secret.metadata.name ?? "", namespace);
    if (winner === undefined) throw error;
    return winner;
  }
}

function endsSoon({ certificate }: AuthorityMaterial, gracePercent: number, nowMs: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(splitPem(certificate)[0] ?? "");
  const graceMs = ((validToDate.getTime() - validFromDate.getTime()) * gracePercent) / 100;
  return validToDate.getTime() - nowMs <= graceMs;
}

/**
 * Reads a secret, and checks that its authority can sign certificates that its own roots trust. A control plane that
 * starts without an authority uses the revocation lists that it can read, and ignores the rest of their text.
 */
function checkedMaterialOf(
  secret: Secret,
  { clock, log }: AuthoritySecretOptions,
  known: AuthorityState | undefined,
): AuthorityMaterial {
  const found = materialOf(secret);
  const { crl: text = "", chain } = found;
  // Long lists take time to read, so the lists in force are not read again at each check.
  const isInForce = [known?.current, known?.material].some((state) => state?.crl === text && state.chain === chain);
  const { lists, fault } = isInForce ? { lists: text, fault: undefined } : usableLists(text);
  // A broken text must not replace the lists that are in force. If its readable lists equal those in force, they stay,
  // so that the rest of the secret can still be renewed.
  const inForce = known === undefined ? [lists] : [known.current.crl, known.material.crl];
  const material = fault !== undefined && lists !== "" && inForce.includes(lists) ? { ...found, crl: lists } : found;
  if (fault !== undefined && known === undefined && lists !== "")
    log.warn("some revocation lists cannot be used, and what they revoke is accepted", {
      secret: nameOfSecret(secret),
      key: "ca-crl.pem",
      fault,
    });
  try {
    for (const doubt of checkAuthority(isInForce ? { ...material, crl: "" } : material, clock.nowMs()))
      log.warn("an authority may cause problems", { secret: nameOfSecret(secret), doubt });
  } catch (error) {
    if (!(error instanceof SerinError)) throw error;
    throw userError("bad-ca-secret", `the secret ${nameOfSecret(secret)}: ${messageOf(error)}`, {
      hint: "correct the secret; until then a running control plane keeps its current authority",
    });
  }
  return material;
}

/** Fills an `istio-ca-next` without keys with a self-signed authority. The first control plane to write wins. */
async function fill(
  { client, namespace, trustDomain, clock, log }: AuthoritySecretOptions,
  next: Secret,
): Promise<Secret> {
  try {
    const filled = await client.update(secretKind, {
      ...next,
      data: dataOf(await createSelfSignedAuthority(trustDomain, clock)),
    });
    log.info("created the mesh's next root", { secret: `${namespace}/${nextName}` });
    return filled;
  } catch (error) {
    if (!isKubeCode(error, "conflict")) throw error;
    const winner = await client.get(secretKind, nextName, namespace);
    if (winner === undefined || isEmpty(winner))
      throw transientError("ca-secret-changed", `the secret ${namespace}/${nextName} was changed at the same time`, {
        cause: error,
      });
    return winner;
  }
}

/**
 * Puts the next authority in force and keeps the former one. Another control plane may already have done some of the
 * steps, so a step that is done twice must do no harm.
 */
async function promote(
  { client, namespace, log }: AuthoritySecretOptions,
  current: Secret,
  next: Secret,
): Promise<void> {
  if (materialOf(current).certificate !== materialOf(next).certificate) {
    const former = {
      metadata: { name: previousName, namespace },
      type: "istio.io/ca-root",
      data: dataOf(materialOf(current)),
    };
    const kept = await client.get(secretKind, previousName, namespace);
    if (kept === undefined) await client.create(secretKind, former);
    else await client.update(secretKind, { ...kept, data: former.data });
    const material = materialOf(next);
    await client.update(secretKind, {
      ...current,
      data: current.type === tlsType ? tlsDataOf(material) : { ...dataOf(material), ...markOf(current, material) },
    });
    log.info("the mesh's root has changed", { secret: `${namespace}/${current.metadata.name ?? ""}` });
  }
  await client.delete(secretKind, nextName, namespace);
}

/**
 * The mark of a generated secret. It stays only as long as the authority is self-signed, because only such an authority
 * can be renewed.
 */
function markOf({ data }: Secret, next: AuthorityMaterial): Record<string, string> {
  const mark = data?.[generatedKey];
  return mark === undefined || !isSelfSigned(next) ? {} : { [generatedKey]: mark };
}

function stageOf({ metadata }: Secret): AuthorityStage {
  const stageText = metadata.annotations?.[authorityStageAnnotation] ?? "trust";
  const stage = authorityStages.find((known) => known === stageText && known !== "none");
  if (stage === undefined) {
    throw userError(
      "bad-ca-secret",
      `the secret ${metadata.namespace ?? ""}/${nextName}: its annotation ${authorityStageAnnotation} is "${stageText}", expected trust, issue, only or done`,
    );
  }
  return stage;
}

function isEmpty(secret: Secret): boolean {
  return Object.values(secret.data ?? {}).every((value) => value === "");
}

function dataOf({ certificate, privateKey, chain, root, crl }: AuthorityMaterial): Record<string, string> {
  return {
    "ca-cert.pem": encode(certificate),
    "ca-key.pem": encode(privateKey),
    "cert-chain.pem": encode(chain),
    "key.pem": "",
    "root-cert.pem": encode(root),
    ...(crl === undefined || crl === "" ? {} : { "ca-crl.pem": encode(crl) }),
  };
}

/**
 * The data of an authority's secret of the type `kubernetes.io/tls`, with the keys that the API server requires in it.
 */
function tlsDataOf({ certificate, privateKey, chain, root }: AuthorityMaterial): Record<string, string> {
  return {
    "tls.crt": encode([...new Set([...splitPem(certificate), ...splitPem(chain)])].join("")),
    "tls.key": encode(privateKey),
    "ca.crt": encode(root),
  };
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}
