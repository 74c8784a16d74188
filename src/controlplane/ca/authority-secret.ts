import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import { authorityStageAnnotation, authorityStages, type AuthorityStage } from "../../api/serin/index.ts";
import { transientError, userError, type Clock, type Logger } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { createSelfSignedAuthority, type AuthorityMaterial } from "./certificate-authority.ts";
import { rootBundle } from "./root-bundle.ts";

const pluggedInName = "cacerts";
const selfSignedName = "istio-ca-secret";
/** The authority that a change of the root leads to, and the one that it has led away from. */
const nextName = "istio-ca-next";
const previousName = "istio-ca-previous";

/** All secrets that an authority is made of. */
export const authoritySecretNames: readonly string[] = [pluggedInName, selfSignedName, nextName];

export interface AuthoritySecretOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What a control plane signs by and tells others to trust. */
export interface AuthorityState {
  readonly stage: AuthorityStage;
  readonly material: AuthorityMaterial;
  /** Of the secret in force, without what is to come. */
  readonly current: AuthorityMaterial;
}

/**
 * The authority that all revisions share: the secret `cacerts` if a user has plugged one in, else `istio-ca-secret`, made
 * if it is not there: of `known`, so that a lost secret does not change the root of a mesh that runs. Several control
 * planes may start at once: the first to create it wins, the others adopt it. While there is an `istio-ca-next` it counts
 * too, as its stage says; all control planes read the same, and whichever comes first does what is to be written.
 */
export async function loadAuthority(options: AuthoritySecretOptions, known?: AuthorityMaterial): Promise<AuthorityState> {
  const { client, namespace } = options;
  const secret = await currentSecret(options, known);
  const current = materialOf(secret);
  const next = await client.get(secretKind, nextName, namespace);
  if (next === undefined) return { stage: "none", material: current, current };
  const stage = stageOf(next);
  const coming = materialOf(isEmpty(next) ? await fill(options, next) : next);
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

async function currentSecret({ client, namespace, trustDomain, clock, log }: AuthoritySecretOptions, known: AuthorityMaterial | undefined): Promise<Secret> {
  const found = (await client.get(secretKind, pluggedInName, namespace)) ?? (await client.get(secretKind, selfSignedName, namespace));
  if (found !== undefined) return found;
  const made = known ?? (await createSelfSignedAuthority(trustDomain, clock));
  try {
    const created = await client.create(secretKind, { metadata: { name: selfSignedName, namespace }, type: "istio.io/ca-root", data: dataOf(made) });
    log.info(known === undefined ? "made a self-signed root" : "wrote the mesh's root down again", { secret: `${namespace}/${selfSignedName}` });
    return created;
  } catch (error) {
    if (!isKubeCode(error, "already-exists")) throw error;
    const winner = await client.get(secretKind, selfSignedName, namespace);
    if (winner === undefined) throw error;
    return winner;
  }
}

/** An `istio-ca-next` without keys gets a self-signed authority: of who writes first. */
async function fill({ client, namespace, trustDomain, clock, log }: AuthoritySecretOptions, next: Secret): Promise<Secret> {
  try {
    const filled = await client.update(secretKind, { ...next, data: dataOf(await createSelfSignedAuthority(trustDomain, clock)) });
    log.info("made the mesh's next root", { secret: `${namespace}/${nextName}` });
    return filled;
  } catch (error) {
    if (!isKubeCode(error, "conflict")) throw error;
    const winner = await client.get(secretKind, nextName, namespace);
    if (winner === undefined || isEmpty(winner)) throw transientError("ca-secret-changed", `the secret ${namespace}/${nextName} changes under us`, { cause: error });
    return winner;
  }
}

/** The next authority becomes the one in force; the former one is kept. Each step may have been done by another control plane. */
async function promote({ client, namespace, log }: AuthoritySecretOptions, current: Secret, next: Secret): Promise<void> {
  if (decode(current, "ca-cert.pem") !== decode(next, "ca-cert.pem")) {
    const former = { metadata: { name: previousName, namespace }, type: "istio.io/ca-root", data: dataOf(materialOf(current)) };
    const kept = await client.get(secretKind, previousName, namespace);
    if (kept === undefined) await client.create(secretKind, former);
    else await client.update(secretKind, { ...kept, data: former.data });
    await client.update(secretKind, { ...current, data: dataOf(materialOf(next)) });
    log.info("the mesh has another root", { secret: `${namespace}/${current.metadata.name ?? ""}` });
  }
  await client.delete(secretKind, nextName, namespace);
}

function stageOf({ metadata }: Secret): AuthorityStage {
  const said = metadata.annotations?.[authorityStageAnnotation] ?? "trust";
  const stage = authorityStages.find((one) => one === said && one !== "none");
  if (stage === undefined) {
    throw userError("bad-ca-stage", `the secret ${metadata.namespace ?? ""}/${nextName}: its annotation ${authorityStageAnnotation} is "${said}", expected trust, issue, only or done`);
  }
  return stage;
}

function isEmpty(secret: Secret): boolean {
  return Object.values(secret.data ?? {}).every((value) => value === "");
}

function materialOf(secret: Secret): AuthorityMaterial {
  const certificate = decode(secret, "ca-cert.pem");
  const privateKey = decode(secret, "ca-key.pem");
  if (certificate === "" || privateKey === "") {
    const name = `${secret.metadata.namespace ?? ""}/${secret.metadata.name ?? ""}`;
    throw userError("bad-ca-secret", `the secret ${name} must hold ca-cert.pem and ca-key.pem`, { hint: "fill them, or delete the secret to have a new root made" });
  }
  const root = decode(secret, "root-cert.pem");
  return { certificate, privateKey, root: root === "" ? certificate : root, chain: decode(secret, "cert-chain.pem") };
}

function dataOf({ certificate, privateKey, chain, root }: AuthorityMaterial): Record<string, string> {
  return {
    "ca-cert.pem": encode(certificate),
    "ca-key.pem": encode(privateKey),
    "cert-chain.pem": encode(chain),
    "key.pem": "",
    "root-cert.pem": root === certificate ? "" : encode(root),
  };
}

function decode(secret: Secret, key: string): string {
  return Buffer.from(secret.data?.[key] ?? "", "base64").toString();
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}
